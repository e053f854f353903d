// The part of an audit that compares the journal's clips with the index, line by line.
import Foundation
import RunJournal
import Shared

/// Takes the clips of a journal in order, and compares each with the next of index/train.tsv.
struct IndexComparison {
  private let directory: String
  private let file: FileHandle?
  /// Bytes that were read and not taken, from `start` on.
  private var buffer: [UInt8] = []
  private var start = 0
  private var clips = 0
  /// The first clip that differs.
  private var difference: Int?

  private static let remedy = "restore index/ from a copy, or start a new run"

  init(_ directory: String) {
    self.directory = directory
    file = FileHandle(forReadingAtPath: "\(directory)/index/train.tsv")
  }

  mutating func take(_ clip: JournalAudit.Clip) {
    defer { clips += 1 }
    guard difference == nil else { return }
    let known = [Self.escaped(clip.id), Self.escaped(clip.path), String(clip.bytes), clip.hash]
    if nextClip() != known { difference = clips }
  }

  /// - Parameter indexDigest: the journal's.
  /// - Returns: each problem in one line; to be called once, when all clips are taken.
  mutating func problems(indexDigest: String) -> [String] {
    guard file != nil else { return [line("train.tsv", "cannot be read")] }
    var problems: [String] = []
    if difference == nil, nextClip() != nil { difference = clips }
    if let difference { problems.append(line("train.tsv", "clip \(difference) is not the journal's")) }
    switch PassingErrors.contents("\(directory)/index/train.clips", nil) {
    case .failed: problems.append(line("train.clips", "cannot be read"))
    case .digest(let digest) where digest.description != indexDigest:
      problems.append(line("train.clips", "is not the index that the run was begun with"))
    case .digest: break
    }
    return problems
  }

  private func line(_ name: String, _ text: String) -> String {
    "\(directory)/index/\(name): \(text); \(Self.remedy)"
  }

  /// The fields that the journal has too, of the next line about a clip; nil where there is none.
  private mutating func nextClip() -> [String]? {
    while let line = nextLine() {
      guard line.starts(with: Array("clip\t".utf8)) else { continue }
      let fields = line.split(separator: UInt8(ascii: "\t"), omittingEmptySubsequences: false)
      return (fields.dropFirst().prefix(2) + fields.dropFirst(4).prefix(2)).map { String(decoding: $0, as: UTF8.self) }
    }
    return nil
  }

  private mutating func nextLine() -> [UInt8]? {
    while true {
      if let end = buffer[start...].firstIndex(of: UInt8(ascii: "\n")) {
        defer { start = end + 1 }
        return Array(buffer[start..<end])
      }
      buffer.removeFirst(start)
      start = 0
      guard let more = try? file?.read(upToCount: 1 << 20), !more.isEmpty else {
        defer { buffer = [] }
        return buffer.isEmpty ? nil : buffer
      }
      buffer.append(contentsOf: more)
    }
  }

  /// By scalars: to Swift, "\r\n" would be one character.
  private static func escaped(_ field: String) -> String {
    field.unicodeScalars.map { scalar in
      switch scalar {
      case "\\": #"\\"#
      case "\t": #"\t"#
      case "\n": #"\n"#
      case "\r": #"\r"#
      default: String(scalar)
      }
    }.joined()
  }
}
