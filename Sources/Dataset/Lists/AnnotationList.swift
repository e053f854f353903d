// What a source reads: the files of a list, line by line and in bounded memory, or the folder of a data set without
// one.
import Foundation
import Remote
import Shared

/// A list as a source reads it. A format that needs more than lines gets it as another property of this type.
public struct AnnotationList: Sendable {
  /// Which clips of a data set a list has.
  public enum Role: Sendable {
    case training
    case validation
  }

  /// The list's name, for messages.
  public let name: String
  /// Several where the recipe's name is a pattern or a folder.
  let files: [ListFile]
  public let role: Role
  /// The folder of a data set without a list.
  var folder: ClassFolder?
  /// The first lines that are not blank, to tell formats apart. Lines that are not UTF-8 are missing.
  let sample: [ListLine]
  /// Reads what is on the web.
  let remote: RemoteFiles?

  init(
    name: String, files: [ListFile], role: Role = .training, folder: ClassFolder? = nil, remote: RemoteFiles? = nil
  ) {
    self.remote = remote
    self.name = name
    self.files = files
    self.role = role
    self.folder = folder
    sample = files.first.map(ListFile.sample) ?? []
  }

  /// A list of one file whose contents are `data`.
  public init(name: String, data: Data, role: Role = .training) {
    self.init(name: name, files: [ListFile(name: name, contents: .data(data))], role: role)
  }

  /// Reads all lines that are not blank.
  ///
  /// - Parameters:
  ///   - take: is given what `parse` returns, and the rows for which it throws.
  ///   - parse: returns nil for a line that is no row, such as a header.
  /// - Throws: `DatasetError` if a file cannot be read or is no text.
  public func forEachLine(
    _ take: (AnnotatedRow) throws -> Void, parse: (ListLine) throws(RowProblem) -> AnnotatedClip?
  ) throws {
    for file in files {
      try file.forEachLine { bytes, number in
        let place = RowPlace(file: file.name, line: number)
        guard let text = String(validating: bytes, as: UTF8.self) else {
          let problem = RowProblem("expected UTF-8; convert the file, e.g. with iconv")
          try take(.unreadable(UnreadableRow(place, text: String(decoding: bytes, as: UTF8.self), problem)))
          return
        }
        let row: AnnotatedRow
        do throws(RowProblem) {
          guard let clip = try parse(ListLine(text: text, place: place)) else { return }
          row = .clip(clip)
        } catch {
          row = .unreadable(UnreadableRow(place, text: text, error))
        }
        try take(row)
      }
    }
  }

  /// The fields of the first line.
  var firstFields: [String]? { sample.first.flatMap { try? $0.fields() } }
}

/// A file of a list.
struct ListFile: Sendable {
  enum Contents: Sendable {
    case data(Data)
    case path(String)
    /// A shard on the web.
    case remote(String)
  }

  /// Its name, for messages.
  let name: String
  let contents: Contents

  init(name: String, contents: Contents) {
    self.name = name
    self.contents = contents
  }

  init(path: String) { self.init(name: path, contents: .path(path)) }

  /// The first `count` bytes, or fewer.
  func head(_ count: Int) -> Data {
    switch contents {
    case .data(let data): data.prefix(count)
    case .remote: Data()
    case .path(let path):
      FileHandle(forReadingAtPath: path).flatMap { try? $0.read(upToCount: count) } ?? Data()
    }
  }

  /// The whole file.
  ///
  /// - Throws: `DatasetError` if it cannot be read.
  func all() throws -> Data {
    switch contents {
    case .data(let data): data
    case .remote: throw DatasetError.badData(name, line: 1, "a tar archive; expected a list, as text")
    case .path(let path): try Dataset.contents(ofFile: path, advice: "check data.train_list and data.validation_list")
    }
  }

  static func sample(of file: ListFile) -> [ListLine] {
    let limit = 65_536
    let head = file.head(limit)
    var lines: [ListLine] = []
    var splitter = LineSplitter()
    func take(_ bytes: ArraySlice<UInt8>, _ number: Int) {
      guard lines.count < 64, let text = String(validating: bytes, as: UTF8.self) else { return }
      lines.append(ListLine(text: text, place: RowPlace(file: file.name, line: number)))
    }
    splitter.add([UInt8](head), take)
    // The last line of a longer file is cut off.
    if head.count < limit { splitter.end(take) }
    return lines
  }

  /// Passes each line that is not blank, without blanks at its ends, and its number to `body`.
  ///
  /// - Throws: `DatasetError` if the file cannot be read, or is no text.
  func forEachLine(_ body: (ArraySlice<UInt8>, Int) throws -> Void) throws {
    var splitter = LineSplitter()
    switch contents {
    case .data(let data): try splitter.add([UInt8](data), body)
    case .remote: throw DatasetError.badData(name, line: 1, "a tar archive; expected a list, as text")
    case .path(let path):
      let (handle, _) = try openedFile(path, advice: "check data.train_list and data.validation_list")
      defer { try? handle.close() }
      while true {
        let chunk: Data?
        do { chunk = try handle.read(upToCount: 1 << 20) } catch {
          throw DatasetError(.ioError, "\(path): reading failed (\(error.localizedDescription))")
        }
        guard let chunk, !chunk.isEmpty else { break }
        try splitter.add([UInt8](chunk), body)
        guard splitter.pending <= 1 << 20 else {
          throw DatasetError.badData(name, line: splitter.line, "a line of more than 1 MB; expected a list, as text")
        }
      }
    }
    try splitter.end(body)
  }
}

/// Cuts chunks of a file into lines that end in LF, CRLF or CR, and drops a byte-order mark.
struct LineSplitter {
  private var rest: [UInt8] = []
  private var endedInCR = false
  private var isFirst = true
  /// The number of the line that is read.
  private(set) var line = 1

  /// Bytes of the line whose end is not yet seen.
  var pending: Int { rest.count }

  mutating func add(_ chunk: [UInt8], _ body: (ArraySlice<UInt8>, Int) throws -> Void) rethrows {
    var start = 0
    // The second half of a CRLF across two chunks.
    if endedInCR, chunk.first == 10 { start = 1 }
    if !chunk.isEmpty { endedInCR = false }
    var i = start
    while i < chunk.count {
      let byte = chunk[i]
      guard byte == 10 || byte == 13 else {
        i += 1
        continue
      }
      if rest.isEmpty {
        try pass(chunk[start..<i], body)
      } else {
        rest += chunk[start..<i]
        let whole = rest
        rest.removeAll(keepingCapacity: true)
        try pass(whole[...], body)
      }
      line += 1
      i += 1
      if byte == 13 {
        if i == chunk.count { endedInCR = true } else if chunk[i] == 10 { i += 1 }
      }
      start = i
    }
    if start < chunk.count { rest += chunk[start...] }
  }

  mutating func end(_ body: (ArraySlice<UInt8>, Int) throws -> Void) rethrows {
    let last = rest
    rest = []
    try pass(last[...], body)
  }

  private mutating func pass(_ bytes: ArraySlice<UInt8>, _ body: (ArraySlice<UInt8>, Int) throws -> Void) rethrows {
    var bytes = bytes
    if isFirst, bytes.starts(with: [0xEF, 0xBB, 0xBF]) { bytes = bytes.dropFirst(3) }
    isFirst = false
    while let last = bytes.last, last == 32 || last == 9 { bytes.removeLast() }
    while let first = bytes.first, first == 32 || first == 9 { bytes.removeFirst() }
    if !bytes.isEmpty { try body(bytes, line) }
  }
}
