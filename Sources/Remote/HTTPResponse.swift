// The head of a response: its status, and the few fields that downloads need.

/// The status and fields of a response, read line by line.
struct HTTPResponse: Equatable {
  private(set) var status = 0
  private(set) var length: UInt64?
  /// The bytes that a 206 holds, and how many the file has.
  private(set) var range: Range<UInt64>?
  private(set) var total: UInt64?
  private(set) var etag = ""
  private(set) var modified = ""
  private(set) var isChunked = false

  /// Adds a line. A status line begins a new response: the earlier one was a redirect, or said "continue".
  mutating func add(_ line: String) {
    if line.hasPrefix("HTTP/") {
      self = HTTPResponse()
      let words = line.split(separator: " ")
      status = words.count > 1 ? Int(words[1]) ?? 0 : 0
      return
    }
    guard let colon = line.firstIndex(of: ":") else { return }
    let value = line[line.index(after: colon)...].trimming
    switch line[..<colon].lowercased() {
    case "content-length": length = UInt64(value)
    case "content-range": (range, total) = Self.contentRange(value)
    case "etag": etag = value
    case "last-modified": modified = value
    case "transfer-encoding": isChunked = value.lowercased().contains("chunked")
    default: break
    }
  }

  /// `bytes 5-9/20`.
  private static func contentRange(_ value: String) -> (Range<UInt64>?, UInt64?) {
    guard value.lowercased().hasPrefix("bytes") else { return (nil, nil) }
    let parts = value.dropFirst(5).split(separator: "/").map(\.trimming)
    guard parts.count == 2 else { return (nil, nil) }
    let ends = parts[0].split(separator: "-").compactMap { UInt64($0) }
    let range = ends.count == 2 && ends[0] <= ends[1] && ends[1] < .max ? ends[0]..<(ends[1] + 1) : nil
    return (range, UInt64(parts[1]))
  }

  /// What `If-Range` may be asked with: a weak tag does not promise the same bytes.
  var validator: String { etag.isEmpty || etag.hasPrefix("W/") ? modified : etag }

  /// Bytes of the whole file.
  var fileLength: UInt64? { status == 206 ? total : length }
}

extension StringProtocol {
  fileprivate var trimming: String {
    func isBlank(_ byte: UInt8) -> Bool { byte == 32 || byte == 9 || byte == 13 || byte == 10 }
    var bytes = Substring(self).utf8
    while let first = bytes.first, isBlank(first) { bytes = bytes.dropFirst() }
    while let last = bytes.last, isBlank(last) { bytes = bytes.dropLast() }
    return String(Substring(bytes))
  }
}
