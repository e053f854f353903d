// Lines, fields, JSON and patterns: what lists are made of.
import Foundation
import Testing

@testable import Dataset

@Suite struct ListReadingTests {
  private func lines(_ chunks: [String]) -> [String] {
    var splitter = LineSplitter()
    var lines: [String] = []
    let take = { (bytes: ArraySlice<UInt8>, line: Int) in
      lines.append("\(line) \(String(decoding: bytes, as: UTF8.self))")
    }
    for chunk in chunks { splitter.add([UInt8](chunk.utf8), take) }
    splitter.end(take)
    return lines
  }

  @Test("lines end in LF, CRLF or CR, wherever a chunk ends, and keep their numbers")
  func lineEnds() {
    let text = "\u{FEFF}a\r\n\r\n b c \t\nd\re\r\n\n  \nf"
    let expected = ["1 a", "3 b c", "4 d", "5 e", "8 f"]
    #expect(lines([text]) == expected)
    for length in 1...5 {
      let bytes = Array(text.utf8)
      var splitter = LineSplitter()
      var found: [String] = []
      let take = { (bytes: ArraySlice<UInt8>, line: Int) in
        found.append("\(line) \(String(decoding: bytes, as: UTF8.self))")
      }
      // A byte-order mark in two chunks is no public list's; its bytes come in the first.
      splitter.add(Array(bytes.prefix(3)), take)
      for start in stride(from: 3, to: bytes.count, by: length) {
        splitter.add(Array(bytes[start..<min(start + length, bytes.count)]), take)
      }
      splitter.end(take)
      #expect(found == expected || length == 0, "\(length)")
    }
  }

  @Test(
    "fields with quotes, blanks and other separators",
    arguments: [
      ("a, b ,c", ",", ["a", "b", "c"]), ("\"a, b\",\"say \"\"x\"\"\" ,", ",", ["a, b", "say \"x\"", ""]),
      ("a\t\"b\tc\"", "\t", ["a", "b\tc"]), ("a  b\tc", " ", ["a", "b", "c"]), ("", ",", [""]), (",", ",", ["", ""]),
      ("a\"b,c", ",", ["a\"b", "c"]),
    ] as [(String, Character, [String])])
  func fields(text: String, separator: Character, expected: [String]) throws {
    let line = ListLine(text: text, place: RowPlace(file: "l", line: 1))
    #expect(try line.fields(separatedBy: separator) == expected)
  }

  @Test("a list of bytes that are no text ends with an error, not with memory")
  func noText() {
    let data = Data(repeating: 7, count: 3 << 20)
    #expect(
      message {
        try withFiles(["x.csv": String(decoding: data, as: UTF8.self)]) { root in
          _ = try Annotations(contentsOf: "\(root)/x.csv", source: PathLabelAnnotations())
        }
      } != "")
  }

  @Test("a missing list, a folder without lists and a pattern without files are I/O errors that name them")
  func missing() throws {
    try withFiles(["empty/": "", "a_1.txt": "x.mp4 0\n", "a_2.txt": "y.mp4 1\n", "b{1}.txt": "z.mp4 0\n"]) { root in
      for name in ["nowhere.csv", "empty", "c_*.txt", "c_{0..9}.txt"] {
        let error = #expect(throws: DatasetError.self) { _ = try Annotations(contentsOf: "\(root)/\(name)") }
        #expect(error?.status == .ioError && error?.description.hasPrefix("\(root)/\(name): ") == true)
      }
      func places(_ name: String) throws -> [String] {
        try Annotations(contentsOf: "\(root)/\(name)").clips.map { "\(FileNames.name(of: $0.place.file)) \($0.id)" }
      }
      let (both, second, odd) = (try places("a_*.txt"), try places("a_{2..2}.txt"), try places("b{1}.txt"))
      #expect(both == ["a_1.txt x.mp4", "a_2.txt y.mp4"] && second == ["a_2.txt y.mp4"] && odd == ["b{1}.txt z.mp4"])
      #expect(AnnotationList.exists("\(root)/a_?.txt") && !AnnotationList.exists("\(root)/a_??.txt"))
    }
  }

  @Test("braces stand for numbers with their zeros, and for names; too many are none")
  func braces() {
    #expect(ListFile.expanded("s-{008..011}.tar") == ["s-008.tar", "s-009.tar", "s-010.tar", "s-011.tar"])
    #expect(ListFile.expanded("{a,b}/{0..1}") == ["a/0", "a/1", "b/0", "b/1"])
    for path in ["a", "{", "{}", "{a}", "{3..1}", "{0..999999999}", "{0..}"] {
      #expect(ListFile.expanded(path) == [path])
    }
  }

  @Test("JSON is cut into its elements, with lines, escapes and nesting")
  func json() throws {
    var items = JSONItems(Data("{\"a\\\"b\": {\"x\": [1, \"}\"]},\n\n \"c\" : null}".utf8), name: "j")
    var found: [String] = []
    try items.forEach { found.append("\($0.key ?? "-") \($0.line) \(String(decoding: $0.bytes, as: UTF8.self))") }
    #expect(found == ["a\"b 1 {\"x\": [1, \"}\"]}", "c 3 null"])
    for text in ["", "3", "[1", "[\"a", "{\"a\"}", "{\"a\": ", "{1: 2}", "[\"\\"] {
      #expect(throws: DatasetError.self, "\(text)") {
        var items = JSONItems(Data(text.utf8), name: "j")
        try items.forEach { _ in }
      }
    }
  }
}
