// The index of a data set: every usable clip, with the facts that probing its file gave.
import Foundation
import Shared

/// One clip of an index.
public struct ClipEntry: Equatable, Sendable {
  /// Unique in the index.
  public var id: String
  /// Relative to the list's data folder (see `VideoFolder`), which differs from host to host.
  public var path: String
  /// The number of its class.
  public var label: Int
  /// The file's size.
  public var bytes: UInt64
  /// XXH3-128 of the file.
  public var hash: Digest128
  /// How many frames it has.
  public var frames: Int

  public init(id: String, path: String, label: Int, bytes: UInt64, hash: Digest128, frames: Int) {
    self.id = id
    self.path = path
    self.label = label
    self.bytes = bytes
    self.hash = hash
    self.frames = frames
  }
}

/// The clips of a data set, sorted by id. Equal indices have equal bytes, and so equal digests.
public struct ClipIndex: Equatable, Sendable {
  /// The names of the classes, by number.
  public let classes: [String]
  /// Sorted by the UTF-8 bytes of their ids. Everywhere else, a clip's number is its place here.
  public let clips: [ClipEntry]

  /// - Throws: `DatasetError` if an id is repeated or a label is not the number of a class.
  public init(classes: [String], clips: [ClipEntry]) throws {
    let sorted = clips.sorted { precedesInUTF8($0.id, $1.id) }
    for (clip, next) in zip(sorted, sorted.dropFirst()) where !precedesInUTF8(clip.id, next.id) {
      throw DatasetError(.badData, "the clip '\(clip.id)' is twice in the index")
    }
    for clip in sorted where !classes.indices.contains(clip.label) {
      throw DatasetError(.badData, "the clip '\(clip.id)' has class \(clip.label) of \(classes.count)")
    }
    self.classes = classes
    self.clips = sorted
  }

  /// XXH3-128 of `encoded()`: journaled, and the same on every host of a run.
  public var digest: Digest128 { Digest128(of: encoded()) }

  private static let signature = ["tamring-index", "1"]

  /// The index as text: a first line with the version, then `class NAME` and
  /// `clip ID PATH LABEL BYTES HASH FRAMES` lines, separated by tabs.
  public func encoded() -> Data {
    var text = escapedLine(ClipIndex.signature)
    for name in classes { text += escapedLine(["class", name]) }
    for clip in clips {
      text += escapedLine([
        "clip", clip.id, clip.path, String(clip.label), String(clip.bytes), clip.hash.description, String(clip.frames),
      ])
    }
    return Data(text.utf8)
  }

  /// Reads what `encoded()` wrote.
  ///
  /// - Parameter name: what errors call the file.
  /// - Throws: `DatasetError` naming file and line.
  public init(decoding data: Data, name: String = "index") throws {
    let remedy = "make it anew with 'coordinator index'"
    var classes: [String] = []
    var clips: [ClipEntry] = []
    try forEachLine(of: data, name: name, signature: ClipIndex.signature, remedy: remedy) { fields in
      switch fields.first {
      case "class" where fields.count == 2: classes.append(fields[1])
      case "clip" where fields.count == 7:
        guard let label = Int(fields[3]), let bytes = UInt64(fields[4]), let hash = Digest128(hex: fields[5]),
          let frames = Int(fields[6]), frames >= 0
        else { return false }
        clips.append(
          ClipEntry(id: fields[1], path: fields[2], label: label, bytes: bytes, hash: hash, frames: frames))
      default: return false
      }
      return true
    }
    do {
      try self.init(classes: classes, clips: clips)
    } catch let error as DatasetError {
      throw DatasetError(.badData, "\(name): \(error.description); \(remedy)")
    }
  }
}

/// Passes the fields of each line after the first to `body`, which returns whether it could parse them.
///
/// - Throws: `DatasetError` naming file and line.
func forEachLine(
  of data: Data, name: String, signature: [String], remedy: String, _ body: ([String]) -> Bool
) throws(DatasetError) {
  guard let text = String(validating: data, as: UTF8.self), text.utf8.last == UInt8(ascii: "\n") else {
    throw .badData(name, line: 1, "damaged: not text, or cut off; \(remedy)")
  }
  // By bytes: to Swift, "\r\n" is one character that does not equal "\n".
  let lines = text.utf8.dropLast().split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
  for (number, line) in lines.enumerated() {
    let fields = unescapedFields(Substring(line))
    if number == 0 {
      guard fields == signature else {
        throw .badData(name, line: 1, "does not begin with '\(signature.joined(separator: " "))'; \(remedy)")
      }
    } else {
      let isUnderstood = if let fields { body(fields) } else { false }
      if !isUnderstood { throw .badData(name, line: number + 1, "damaged line; \(remedy)") }
    }
  }
}
