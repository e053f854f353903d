// Where the real clips lie that some tests need; they are not part of the project.
import Foundation
import Shared
import Testing

@testable import Video

enum RealClips {
  static let folder: URL = {
    let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent()
    let beside = root.deletingLastPathComponent().appendingPathComponent("shared")
    let shared = ProcessInfo.processInfo.environment["TAMRING_SHARED"].map { URL(fileURLWithPath: $0) } ?? beside
    return shared.appendingPathComponent("clips")
  }()

  static var arePresent: Bool { FileManager.default.fileExists(atPath: folder.path) }
  static let missing = "the real clips of ../shared/clips are not here (or set TAMRING_SHARED)"

  static func path(_ name: String) -> String { folder.appendingPathComponent(name).path }

  /// The videos (and what claims to be one), by their name below the folder.
  static let names: [String] = videos(in: folder)

  /// Files on which others, or earlier versions of this one, gave wrong frames.
  static let cases: [String] = videos(in: caseFolder).map { "../cases/clips/" + $0 }
  private static let caseFolder = folder.deletingLastPathComponent().appendingPathComponent("cases/clips")

  private static func videos(in folder: URL) -> [String] {
    let all = FileManager.default.enumerator(atPath: folder.path)?.compactMap { $0 as? String } ?? []
    return all.filter { name in
      [".mp4", ".avi", ".mkv", ".mov", ".webm", ".h264"].contains { name.hasSuffix($0) }
    }.sorted()
  }
}

/// Checks twelve frames, each found by itself and all together, in a file that is opened for each as training opens it.
/// - Parameters:
///   - clip: what the index knows of it.
///   - truth: digests of all frames.
func expectExact(_ path: String, _ clip: ProbedClip, _ truth: [Digest128], tries: Int = 12) throws {
  var generator = Philox(seed: 5, .selfTest)
  let count = truth.count
  var wanted = Set((0..<tries).map { $0 * count / tries })
  wanted.formUnion([count - 1, generator.below(count), generator.below(count)])
  for choice in wanted.map({ [$0] }) + [wanted.sorted(), wanted.sorted().filter { $0 % 2 == 1 }] {
    var found: [Int: Digest128] = [:]
    try VideoFile(path: path, isProved: clip.isProved, head: clip.head).decode(choice) { found[$0] = $1.digest() }
    #expect(found == Dictionary(uniqueKeysWithValues: choice.map { ($0, truth[$0]) }), "frames \(choice)")
  }
}
