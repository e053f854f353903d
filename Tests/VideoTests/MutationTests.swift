// Damaged copies of files: each is refused, or gives the frames that decoding everything gives. Nothing crashes or
// hangs.
import CFFmpeg
import Foundation
import Glibc
import Shared
import Testing

@testable import Video

@Suite struct MutationTests {
  /// TAMRING_MUTATIONS=2000 tries as many files, of the real clips too; TAMRING_MUTATION=17 repeats one.
  private static let environment = ProcessInfo.processInfo.environment
  private static let count = environment["TAMRING_MUTATIONS"].flatMap { Int($0) } ?? 60
  private static let only = environment["TAMRING_MUTATION"].flatMap { Int($0) }

  private static func sources() throws -> [(name: String, bytes: Data)] {
    var sources = try AccessProofTests.kinds.map { ($0.testDescription, try $0.maker.make()) }
    let fixtures = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .appendingPathComponent("Fixtures/clips")
    for name in ["h264.mp4", "mpeg4.mp4", "vp9.mp4"] {
      sources.append((name, try Data(contentsOf: fixtures.appendingPathComponent(name))))
    }
    guard environment["TAMRING_MUTATIONS"] != nil, RealClips.arePresent else { return sources }
    for name in RealClips.names + RealClips.cases {
      let bytes = try Data(contentsOf: URL(fileURLWithPath: RealClips.path(name)))
      // Bigger ones take long, and are damaged in the same ways.
      if (1000..<700_000).contains(bytes.count) { sources.append((name, bytes)) }
    }
    return sources
  }

  @Test("a damaged file is refused with a reason, or gives the frames of decoding everything")
  func damaged() throws {
    let sources = try Self.sources()
    var (accepted, refused): (Int, [String: Int]) = (0, [:])
    var slowest = (seconds: 0.0, number: 0)
    let numbers = Self.only.map { [$0] } ?? Array(0..<Self.count)
    for number in numbers {
      var generator = Philox(seed: 15, .selfTest, UInt32(number), 7)
      let source = sources[generator.below(sources.count)]
      let other = sources[generator.below(sources.count)]
      let kind = Mutation.allCases[generator.below(Mutation.allCases.count)]
      let bytes = kind.applied(to: source.bytes, from: other.bytes, &generator)
      let comment = Comment(rawValue: "mutation \(number): \(kind) of \(source.name)")
      note("\(number) \(kind) \(source.name)")
      let start = Date()
      try withFile(bytes, named: "clip" + (source.name.split(separator: ".").last.map { ".\($0)" } ?? "")) { path in
        do {
          let clip = try ClipProbe.probe(path, deep: true, rules: VideoRules(seconds: 120))
          accepted += 1
          try check(path, clip, comment)
        } catch let error as VideoError {
          #expect(!error.cause.isEmpty && error.errorNumber == nil, comment)
          refused[error.operation, default: 0] += 1
        }
      }
      let seconds = Date().timeIntervalSince(start)
      if seconds > slowest.seconds { slowest = (seconds, number) }
    }
    if Self.environment["TAMRING_MUTATIONS"] != nil {
      print("accepted \(accepted), refused \(refused.sorted { $0.key < $1.key }), slowest \(slowest)")
    }
  }

  /// What the deep probe took must load, and give the right frames.
  private func check(_ path: String, _ clip: ProbedClip, _ comment: Comment) throws {
    let truth = try #require(ReferenceDecoder.digests(path), comment)
    #expect(truth.count == clip.frames, comment)
    guard truth.count == clip.frames else { return }
    for choice in [[0], [clip.frames - 1], [clip.frames / 2], Array(stride(from: 0, to: clip.frames, by: 7))] {
      var found: [Int: Digest128] = [:]
      try VideoFile(path: path, isProved: clip.isProved, head: clip.head).decode(choice) { found[$0] = $1.digest() }
      #expect(found == Dictionary(uniqueKeysWithValues: choice.map { ($0, truth[$0]) }), comment)
    }
    let form = ClipForm(frames: 4, size: 24, training: true, seed: 3)
    let storage = FloatStorage(count: form.clipElements)
    let request = ClipRequest(
      path: path, frames: clip.frames, isProved: clip.isProved, head: clip.head, clip: 1,
      expectedBytes: clip.bytes,
      expectedHash: clip.hash)
    try ClipLoader().load(request, form, epoch: 0, into: storage)
  }

  /// Leaves a trace of the file that is being tried, in case it crashes or hangs.
  private func note(_ text: String) {
    guard let path = Self.environment["TAMRING_MUTATION_NOTE"] else { return }
    try? (text + "\n").write(toFile: path, atomically: true, encoding: .utf8)
  }
}
