// WebDataset shards: tar archives whose members belong together where their names are the same up to the first dot.
import Foundation
import Shared

/// The shards are `data.train_list` itself: a tar archive, a pattern such as `shards/train-{000000..000127}.tar`, a
/// folder of them, or a text file with one path a line. In each sample, the first member that may be a video is the
/// clip; its label is the member `.cls` or `.label`, the `label` (or `cls`, `class`, …) of `.json`, or else `.txt`.
public struct WebDatasetAnnotations: AnnotationSource {
  public let name = "webdataset"
  public let appearance = "WebDataset shards (.tar)"

  public init() {}

  public func recognises(_ list: AnnotationList) -> Bool {
    guard let file = list.files.first else { return false }
    if Self.isArchive(file) { return true }
    return !list.sample.isEmpty && list.sample.allSatisfy { Self.isArchive(named: $0.text) }
  }

  private static func isArchive(_ file: ListFile) -> Bool {
    isArchive(named: file.name) || TarArchive.isTar(file.head(512))
  }

  private static func isArchive(named name: String) -> Bool {
    FileNames.suffix(of: name) == "tar" || FileNames.isCompressedArchive(name)
  }

  public func read(_ list: AnnotationList, _ take: (AnnotatedRow) throws -> Void) throws {
    let shards = try shards(list)
    let prefixes = Self.prefixes(shards.map { shownPath($0.path) })
    for (number, shard) in shards.enumerated() {
      do { try read(shard: shard.path, in: list, prefix: prefixes[number], take) } catch let error as DatasetError
        where error.status == .ioError
      {
        guard let row = shard.row else { throw error }
        let problem = RowProblem(error.description)
        try take(.unreadable(UnreadableRow(row.place, text: row.text, problem)))
      }
    }
  }

  /// The shards of a list, and the rows that name them where a text file does.
  private func shards(_ list: AnnotationList) throws -> [(path: String, row: ListLine?)] {
    var shards: [(path: String, row: ListLine?)] = []
    for file in list.files {
      guard !Self.isArchive(file) else {
        shards.append((file.place, nil))
        continue
      }
      try file.forEachLine { bytes, number in
        let row = ListLine(text: String(decoding: bytes, as: UTF8.self), place: RowPlace(file: file.name, line: number))
        let folder = file.name.utf8.dropLast(FileNames.name(of: file.name).utf8.count)
        let isWhole = row.text.hasPrefix("/") || isWebAddress(row.text)
        for shard in ListFile.expanded(isWhole ? row.text : String(Substring(folder)) + row.text) {
          shards.append((shard, row))
        }
      }
    }
    return shards
  }

  /// What the ids of each shard's clips begin with: its name without the extension; where shards in different folders
  /// have one name, also the folders below the deepest one that they share.
  static func prefixes(_ paths: [String]) -> [String] {
    var folders: [String: Set<[Substring]>] = [:]
    let names = paths.map { String(FileNames.stem(of: $0)) }
    let places = paths.map { Array(components(of: $0).dropLast()) }
    for (name, place) in zip(names, places) { folders[name, default: []].insert(place) }
    var common: [String: Int] = [:]
    for (name, places) in folders where places.count > 1 {
      let first = places.first ?? []
      common[name] = places.reduce(first.count) { shared, place in
        min(shared, zip(first, place).prefix { $0 == $1 }.count)
      }
    }
    return zip(names, places).map { name, place in
      guard let shared = common[name] else { return name }
      return (place.dropFirst(shared).map(String.init) + [name]).joined(separator: "/")
    }
  }

  private func read(
    shard: String, in list: AnnotationList, prefix: String, _ take: (AnnotatedRow) throws -> Void
  ) throws {
    let (path, hold) = try list.opened(shard: shard)
    var archive = try TarArchive(path: path)
    defer { withExtendedLifetime(hold) { archive.close() } }
    let name = shownPath(shard)
    var sample = Sample()
    var number = 0
    func pass() throws {
      guard let video = sample.video else { return }
      try take(
        .clip(
          AnnotatedClip(
            id: "\(prefix)/\(sample.key)", video: shard, labels: sample.labels, bytes: video.bytes,
            place: RowPlace(file: name, line: number))))
    }
    do {
      while let member = try archive.next() {
        let (key, kind) = Self.parts(of: member.name)
        if key != sample.key {
          try pass()
          sample = Sample(key: key)
        }
        number += 1
        try sample.add(member, kind, archive)
      }
      try pass()
    } catch let problem as RowProblem {
      // What was whole before it stands.
      try pass()
      try take(.unreadable(UnreadableRow(RowPlace(file: name, line: number + 1), text: nil, problem)))
    }
  }

  /// What comes before and after the first dot of the name.
  private static func parts(of name: String) -> (key: String, kind: String) {
    let base = FileNames.name(of: name)
    let folder = name.utf8.dropLast(base.utf8.count)
    let stem = base.prefix { $0 != "." }
    return (String(Substring(folder)) + stem, base.dropFirst(stem.count + 1).lowercased())
  }

  private struct Sample {
    var key = ""
    var video: TarMember?
    var labels: [String] = []
    private var rank = Int.max

    init(key: String = "") { self.key = key }

    mutating func add(_ member: TarMember, _ kind: String, _ archive: TarArchive) throws(RowProblem) {
      let kinds = ["cls", "label", "json", "txt"]
      if let rank = kinds.firstIndex(where: { kind == $0 || kind.hasSuffix("." + $0) }) {
        guard rank < self.rank else { return }
        let text = try archive.text(of: member).trimmingCharacters(in: .whitespacesAndNewlines)
        let found = kinds[rank] == "json" ? Self.labels(json: text) : PathLabelAnnotations.Shape.labels(text)
        if !found.isEmpty { (labels, self.rank) = (found, rank) }
      } else if video == nil, !kind.isEmpty, FileNames.canBeVideo("x." + kind) {
        video = member
      }
    }

    private static func labels(json text: String) -> [String] {
      let value = try? JSONSerialization.jsonObject(with: Data(text.utf8), options: .fragmentsAllowed)
      let members = value as? [String: Any]
      let found = members.flatMap { members in
        ["label", "labels", "cls", "class", "class_name", "label_name", "category", "action", "target"].lazy
          .compactMap { members[$0] }.first
      }
      switch found ?? (members == nil ? value : nil) {
      case let text as String: return [text]
      case let number as Int: return [String(number)]
      case let list as [Any]: return list.map { "\($0)" }
      default: return []
      }
    }
  }

  public func file(of clip: AnnotatedClip, in folder: VideoFolder) -> ClipFile? {
    folder.file(named: clip.video).map { ClipFile(path: $0, bytes: clip.bytes) }
  }
}
