// Probing the files of a list: each once, only those that changed, and no clip is blamed for an error that passes.
import Dataset
import Foundation
import Glibc
import Recipes
import Shared
import Synchronization
import TestSupport
import Testing
import Video

@testable import Coordinator

@Suite struct FileIndexingTests {
  /// A folder of files whose contents say how long they are, and an index that is made of them again and again.
  private final class Bench: Sendable {
    let folder: TemporaryFolder
    let probed = Mutex<[String]>([])
    let read = Mutex<[String]>([])
    let said = Mutex<[String]>([])
    let last = Mutex(FileIndexing.Progress())

    init() throws {
      folder = try TemporaryFolder()
      for name in ["videos", "index"] {
        try FileManager.default.createDirectory(atPath: folder.path(name), withIntermediateDirectories: true)
      }
    }

    func write(_ text: String, _ name: String) throws { try folder.write(text, to: "videos/\(name)") }

    /// - Parameter contents: what reading a file gives; nil for what is there.
    func index(
      _ rows: [IndexRow], rejected: [RejectedClip] = [], deep: Bool = false,
      contents: @escaping @Sendable (String) -> PassingErrors.Contents? = { _ in nil },
      failure: @escaping @Sendable (String) -> (any Error)? = { _ in nil }
    ) throws -> (ClipIndex, [RejectedClip]) {
      probed.withLock { $0 = [] }
      read.withLock { $0 = [] }
      var builder = IndexBuilder(recipe: Recipe(), folder: try IndexFolder(folder.path("index"))) { _, _ in }
      builder.settings.deep = deep
      builder.settings.threads = 3
      builder.settings.waits = [.microseconds(1), .microseconds(2)]
      builder.settings.say = { line in self.said.withLock { $0.append(line) } }
      builder.settings.contents = { path, range in
        self.read.withLock { $0.append((path as NSString).lastPathComponent) }
        return contents((path as NSString).lastPathComponent) ?? PassingErrors.contents(path, range)
      }
      builder.settings.probe = { path, range, _ in
        let name = (path as NSString).lastPathComponent
        self.probed.withLock { $0.append(name) }
        if let failure = failure(name) { throw failure }
        guard let data = FileManager.default.contents(atPath: path),
          let seconds = Int(String(decoding: data, as: UTF8.self))
        else { throw VideoError(path: path, operation: "decode", cause: "no number") }
        return ProbedVideo(
          frames: 10 * seconds, width: 4, height: 3, duration: Double(seconds), frameRate: 10, codec: "text",
          bytes: UInt64(data.count), hash: Digest128(of: data), isProved: true
        ) { Int($0 * 10)..<Int($1 * 10) }
      }
      let (index, list) = try builder.index(
        IndexRows(rows), rejected: rejected, classes: ["a", "b"], "train", videos: folder.path("videos")
      ) { progress in self.last.withLock { $0 = progress } }
      return (index, try list.prefix(.max))
    }

    var names: [String] { probed.withLock { $0.sorted() } }
  }

  /// Says yes so many times.
  private final class Countdown: Sendable {
    private let left: Mutex<Int>
    init(_ count: Int) { left = Mutex(count) }
    func take() -> Bool {
      left.withLock { left in
        defer { left -= 1 }
        return left > 0
      }
    }
  }

  private func row(_ id: String, _ path: String, label: Int = 0, part: ClipPart = .whole) -> IndexRow {
    IndexRow(id: id, path: path, labels: [label], part: part, range: nil)
  }

  @Test("a file that several rows name is probed once, and each row gets its part of it")
  func shared() throws {
    let bench = try Bench()
    try bench.write("10", "v")
    try bench.write("3", "w")
    let (index, rejected) = try bench.index([
      row("a", "v", part: .seconds(0, 3)), row("w", "w"), row("b", "v", label: 1, part: .seconds(3, 7)),
      row("c", "v", part: .seconds(7, 10)), row("d", "v", part: .seconds(12, 14)), row("e", "v", part: .seconds(3, 7)),
    ])
    #expect(bench.names == ["v", "w"])
    #expect(index.clips.map(\.id) == ["a", "b", "c", "e", "w"])
    #expect(index.clips.map(\.range) == [0..<30, 30..<70, 70..<100, 30..<70, 0..<30])
    #expect(index.clips.map(\.labels[0]) == [0, 1, 0, 0, 0])
    #expect(
      rejected == [RejectedClip(id: "d", path: "v", reason: "its times, 12 to 14 s, are not in its file of 10 s")])
    #expect(bench.last.withLock { $0.done == 6 && $0.total == 6 && $0.rejected == 1 && $0.unchanged == 0 })
  }

  @Test("only new and changed files are probed again, and a repaired clip returns by itself")
  func incremental() throws {
    let bench = try Bench()
    for (name, text) in [("a", "1"), ("b", "2"), ("c", "3"), ("bad", "x"), ("worse", "y")] {
      try bench.write(text, name)
    }
    let rows = ["a", "b", "c", "bad", "worse"].map { row($0, $0) }
    let before = try bench.index(rows)
    #expect(before.0.clips.count == 3 && before.1.count == 2 && bench.names == ["a", "b", "bad", "c", "worse"])
    // Nothing changed: no file is opened.
    let same = try bench.index(rows)
    #expect(same.0 == before.0 && same.1 == before.1)
    #expect(bench.names == [] && bench.read.withLock { $0 } == [])
    #expect(bench.last.withLock { $0.unchanged == 5 })
    // One is only touched, one replaced by something as long, one repaired.
    #expect(
      utimes(bench.folder.path("videos/a"), [timeval(tv_sec: 5, tv_usec: 0), timeval(tv_sec: 5, tv_usec: 0)]) == 0)
    try bench.write("7", "b")
    #expect(
      utimes(bench.folder.path("videos/b"), [timeval(tv_sec: 6, tv_usec: 0), timeval(tv_sec: 6, tv_usec: 0)]) == 0)
    try bench.write("44", "bad")
    let (index, rejected) = try bench.index(rows)
    #expect(bench.names == ["b", "bad"])
    #expect(index.clips.map { "\($0.id) \($0.frames)" } == ["a 10", "b 70", "bad 440", "c 30"])
    #expect(rejected.map(\.id) == ["worse"])
    // The index knows nothing of times.
    for name in ["a", "b", "c", "bad"] {
      try FileManager.default.removeItem(atPath: bench.folder.path("videos/\(name)"))
    }
    for (name, text) in [("a", "1"), ("b", "7"), ("c", "3"), ("bad", "44")] { try bench.write(text, name) }
    #expect(try bench.index(rows).0 == index)
    // With every frame decoded, all are probed once more, and then no more.
    #expect(try bench.index(rows, deep: true).0 == index && bench.names.count == 5)
    #expect(try bench.index(rows, deep: true).0 == index && bench.names == [])
    // One row's other part of a known file is new.
    #expect(try bench.index(rows + [row("part", "bad", part: .seconds(1, 2))]).0.clips.count == 5)
    #expect(bench.names == ["bad"])
  }

  @Test("an error that passes is tried again; one that stays ends indexing with 74, and no clip is blamed for it")
  func passingErrors() throws {
    for code in [EMFILE, ENFILE, EIO, ESTALE, ENOMEM] {
      let bench = try Bench()
      for name in ["a", "b"] { try bench.write("1", name) }
      // FFmpeg fails twice; in between the file cannot be read either, twice.
      let (probes, reads) = (Countdown(2), Countdown(2))
      let (index, rejected) = try bench.index(
        [row("a", "a"), row("b", "b")],
        contents: { $0 == "b" && reads.take() ? .failed(code) : nil },
        failure: { name in
          name == "b" && probes.take()
            ? VideoError(
              path: name, operation: "open", cause: unsafe String(cString: strerror(code)), status: .ioError,
              errorNumber: code) : nil
        })
      #expect(index.clips.count == 2 && rejected.isEmpty, "\(code)")

      let other = try Bench()
      for name in ["a", "b"] { try other.write("1", name) }
      let error = #expect(throws: SharedError.self) {
        try other.index(
          [row("a", "a"), row("b", "b")], contents: { $0 == "b" ? .failed(code) : nil },
          failure: { $0 == "b" ? VideoError(path: $0, operation: "open", cause: "?", status: .ioError) : nil })
      }
      #expect(error?.status == .ioError)
      let text = unsafe String(cString: strerror(code))
      #expect(
        error?.description.contains("/b: cannot be read (\(text)), tried 3 times; ") == true,
        "\(String(describing: error))")
      #expect(other.said.withLock { $0.count == 1 && $0[0].contains(text) })
      // When the disk works again, what was found counts, and nothing is left out.
      let (later, none) = try other.index([row("a", "a"), row("b", "b")])
      #expect(later == index && none.isEmpty)
    }
  }

  @Test("a damaged file of which FFmpeg says 'Input/output error' is to blame itself, since it can be read")
  func blamed() throws {
    let bench = try Bench()
    try bench.write("1", "a")
    let (index, rejected) = try bench.index(
      [row("a", "a")], failure: { VideoError(path: $0, operation: "open", cause: "Input/output error") })
    #expect(index.clips.isEmpty && rejected.count == 1 && bench.names == ["a"])
  }

  @Test("files that are gone or forbidden are left out with that reason, and tried again when they are back")
  func gone() throws {
    let bench = try Bench()
    try bench.write("1", "a")
    let listed = RejectedClip(id: "z", path: "", reason: "listed")
    let (index, rejected) = try bench.index([row("a", "a"), row("b", "b")], rejected: [listed])
    #expect(index.clips.map(\.id) == ["a"] && rejected.map(\.id) == ["b", "z"])
    #expect(rejected[0].reason.hasSuffix("/b': cannot be opened (No such file or directory)"), "\(rejected[0].reason)")
    try bench.write("1", "b")
    #expect(try bench.index([row("a", "a"), row("b", "b")]).0.clips.count == 2)
    #expect(bench.names == ["b"])
  }

  @Test("an id that two rows have is an error, whatever their files are")
  func twice() throws {
    let bench = try Bench()
    try bench.write("1", "a")
    #expect(throws: DatasetError.self) { try bench.index([row("a", "a"), row("a", "a")]) }
  }

  @Test("rows that were added to a list or removed from it are counted")
  func changes() throws {
    let bench = try Bench()
    for name in ["a", "b", "c"] { try bench.write(name == "c" ? "x" : "1", name) }
    let (index, _) = try bench.index(["a", "b", "c"].map { row($0, $0) })
    let rejected = try RejectedList(bench.folder.path("index/rejected-train.tsv"))
    let same = try ListChanges.Change(["c", "b", "a"], index, rejected)
    #expect(same.gained == 0 && same.lost == 0)
    let change = try ListChanges.Change(["d", "b", "e"], index, rejected)
    #expect(change.gained == 2 && change.lost == 2 && change.firstGained == "d" && change.firstLost == "a")
    #expect(try ListChanges.Change(["a", "b"], index, rejected).firstLost == "c")
  }

  @Test("the report names the table's figures, leaks, small classes and reasons, and the page shows them")
  func report() throws {
    let bench = try Bench()
    for name in ["a", "b"] { try bench.write("10", name) }
    let rows = [row("<a>", "a"), row("b", "b", label: 1), row("c", "nowhere")]
    let (index, _) = try bench.index(rows)
    let list = try RejectedList(bench.folder.path("index/rejected-train.tsv"))
    let indexes = Indexes(train: index, validation: index, rejectedTrain: list, rejectedValidation: .none)
    let report = try IndexReport(indexes)
    for part in [
      "clips                   2         2", "2 of 2 classes have fewer than 10 training clips", "4x3", "text",
      "a leak: 2 validation clips have the content of a training clip", "'<a>' is '<a>'",
      "training clips left out, by reason:\n  1  '…': cannot be opened (No such file or directory)",
    ] { #expect(report.text.contains(part), "\(part) in\n\(report.text)") }
    var recipe = Recipe()
    recipe.data.path = bench.folder.path("")
    recipe.data.trainVideos = "videos"
    let page = IndexPage(report, indexes, recipe) { _, _ in }.html
    #expect(page.contains("&lt;a&gt;") && !page.contains("<a>") && !page.contains("<script"))
    #expect(page.contains("prefers") || page.contains("color-scheme: light dark"))
    #expect(page.contains("a leak: 2 validation clips") && page.contains("cannot open"))
  }
}
