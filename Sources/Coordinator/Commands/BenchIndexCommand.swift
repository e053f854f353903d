// `coordinator bench-index`: how long an index of very many clips takes, and how much memory. Benchmarks/index calls
// it.
import ArgumentParser
import Dataset
import Foundation
import Messaging
import Recipes
import RunJournal
import Shared
import Wire

struct BenchIndexCommand: ParsableCommand {
  enum Phase: String, ExpressibleByArgument, CaseIterable {
    case build, export, coordinator, worker, files
  }

  static let configuration = CommandConfiguration(
    commandName: "bench-index", abstract: "Measures an index of many clips (one JSON object).",
    discussion: """
      build writes an index of synthetic clips to FOLDER; export writes it as text; coordinator does what a coordinator \
      does with it, and worker what a worker does; files indexes rows that share the video files below --videos.
      """, shouldDisplay: false)

  @Argument(help: "One of \(Phase.allCases.map(\.rawValue).joined(separator: ", ")).") var phase: Phase
  @Argument(help: "The folder of the index.") var folder: String
  @Option(help: "How many clips.") var rows = 10_000_000
  @Option(help: "For files: a folder with video files.") var videos = "."

  private static let classes = (0..<400).map { "class \($0)" }

  func run() throws {
    guard (1...Int(Int32.max)).contains(rows) else { throw ValidationError("--rows must be from 1 to 2147483647") }
    let kept = try IndexFolder(folder)
    var seconds: [String: Double] = [:]
    func time<Result>(_ name: String, _ body: () throws -> Result) rethrows -> Result {
      let start = ContinuousClock.now
      defer {
        let passed = (ContinuousClock.now - start).components
        seconds[name] = Double(passed.seconds) + Double(passed.attoseconds) * 1e-18
      }
      return try body()
    }
    switch phase {
    case .build:
      let writer = try ClipIndexWriter(classes: Self.classes, folder: folder)
      try time("adding") {
        var random = Philox(seed: 1, .demoData)
        for _ in 0..<rows { try writer.add(clip(&random)) }
      }
      _ = try time("sorting, writing, mapping") { try writer.finish(at: kept.clips("train")) }
    case .export:
      let index = try ClipIndex(mapping: kept.clips("train"))
      try time("export") { try index.export(to: kept.export("train")) }
    case .coordinator: try coordinate(kept, time)
    case .worker: try work(kept, time)
    case .files: try files(kept, time)
    }
    var result: [String: Any] = ["phase": phase.rawValue, "rows": rows, "seconds": seconds]
    result["peak_mb"] = Self.peakMegabytes()
    let json = try JSONSerialization.data(withJSONObject: result, options: [.sortedKeys])
    print(String(decoding: json, as: UTF8.self))
  }

  /// With an id like those of Kinetics.
  private func clip(_ random: inout Philox) -> ClipEntry {
    let id = String(random.next(), radix: 36) + "_\(random.below(900_000) + 100_000)"
    let label = random.below(400)
    return ClipEntry(
      id: id, path: "\(Self.classes[label])/\(id).mp4", labels: [label], bytes: 1_000_000,
      hash: Digest128(high: random.next(), low: random.next()), frames: 300, isProved: true, width: 340, height: 256,
      frameRate: 30, codec: "h264")
  }

  private func coordinate(_ kept: IndexFolder, _ time: (String, () throws -> Void) throws -> Void) throws {
    var index: ClipIndex?
    try time("mapping") { index = try ClipIndex(mapping: kept.clips("train")) }
    guard let index else { return }
    try time("epoch order") { _ = EpochOrder(seed: 1, epoch: 0, count: index.clips.count) }
    let path = "\(folder)/bench.db"
    for name in [path, path + "-wal", path + "-shm"] { try? FileManager.default.removeItem(atPath: name) }
    try time("journal") {
      let journal = try Journal(path, .create)
      try journal.beginRun(
        RunRecord(
          name: "bench", seed: 1, recipeDigest: "", indexDigest: index.digest.description, fingerprint: "",
          clips: index.clips.count, stepsPerEpoch: 1, epochs: 1, createdAt: .now),
        clips: { insert in
          try index.forEach { number, clip in
            try insert(
              ClipRecord(
                clip: number, id: clip.id, path: clip.path, label: index.names(of: clip),
                bytes: Int(clamping: clip.bytes), hash: clip.hash.description))
          }
        }, rejected: { _ in })
      try journal.close()
    }
    try time("journal, opened again") { try Journal(path, .resume).close() }
    var store = BlobStore()
    store.put("index/train", index.encoded, digest: index.digest)
    try time("serving") {
      for offset in stride(from: 0, to: index.encoded.count, by: BlobPiece.most) {
        _ = store.answer(BlobRequest(name: "index/train", offset: offset)).1?.first
      }
    }
    try time("summary") { _ = IndexSummary(of: index) }
  }

  private func work(_ kept: IndexFolder, _ time: (String, () throws -> Void) throws -> Void) throws {
    // A worker gets the pieces from the network.
    let file = try FileHandle(forReadingFrom: URL(fileURLWithPath: kept.clips("train")))
    let size = Int(try file.seekToEnd())
    try file.seek(toOffset: 0)
    let description = BlobDescription(name: "index/train", bytes: size, digest: Digest128(high: 0, low: 0))
    var incoming = IncomingBlobs(indexesIn: NSTemporaryDirectory())
    try time("fetching") {
      for offset in stride(from: 0, to: size, by: BlobPiece.most) {
        incoming.payload = try file.read(upToCount: BlobPiece.most)
        try incoming.keep(BlobPiece(name: "index/train", offset: offset, description: description))
      }
    }
    guard let fetched = incoming.takeFile("index/train") else { throw SharedError(.failed, "nothing was fetched") }
    var index: ClipIndex?
    try time("mapping") { index = try ClipIndex(descriptor: fetched.descriptor, name: "index/train") }
    guard let index else { return }
    var order = EpochOrder(seed: 1, epoch: 0, count: 0)
    try time("epoch order") { order = EpochOrder(seed: 1, epoch: 0, count: index.clips.count) }
    var bytes = 0
    try time("every clip in that order") { for clip in order.clips { bytes += index.clips[Int(clip)].path.utf8.count } }
  }

  private func files(_ kept: IndexFolder, _ time: (String, () throws -> Void) throws -> Void) throws {
    let names = try VideoFolder.files(below: videos)
    guard !names.isEmpty else { throw SharedError(.badData, "\(videos): has no video file") }
    let rows = (0..<rows).map {
      IndexRow(id: "clip \($0)", path: names[$0 % names.count], labels: [$0 % 400], part: .whole, range: nil)
    }
    let builder = IndexBuilder(recipe: Recipe(), folder: kept) { _, _ in }
    for name in ["first", "again"] {
      try time(name) {
        _ = try builder.index(IndexRows(rows), rejected: [], classes: Self.classes, "train", videos: videos) { _ in }
      }
    }
  }

  /// The most memory that this process has had, mapped files included.
  private static func peakMegabytes() -> Int {
    let status = (try? String(contentsOfFile: "/proc/self/status", encoding: .utf8)) ?? ""
    let line = status.split(separator: "\n").first { $0.hasPrefix("VmHWM:") }
    return (line?.split(separator: " ").compactMap { Int($0) }.first ?? 0) / 1024
  }
}

extension VideoFolder {
  /// Video files below a folder, at any depth.
  fileprivate static func files(below root: String) throws -> [String] {
    let all = FileManager.default.enumerator(atPath: root)?.compactMap { $0 as? String } ?? []
    return all.filter { ["mp4", "mkv", "webm", "avi", "mov"].contains(($0 as NSString).pathExtension) }.sorted()
  }
}
