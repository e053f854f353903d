// The clips of a list whose file and class are known, in some 60 bytes each.

/// A clip whose file and class are known. No file has been opened yet.
public struct ClipCandidate: Equatable, Sendable {
  public let id: String
  /// Relative to the list's videos folder (see `clipPath`). A folder, for a folder of images.
  public let path: String
  /// The numbers of its classes, ascending; only multi-label lists have several.
  public let labels: [Int]
  public let part: ClipPart
  /// The part of the tar archive `path` that holds the file; nil where `path` is the file.
  public let bytes: Range<UInt64>?

  public init(id: String, path: String, labels: [Int], part: ClipPart = .whole, bytes: Range<UInt64>? = nil) {
    precondition(!labels.isEmpty, "a candidate without a class")
    self.id = id
    self.path = path
    self.labels = labels
    self.part = part
    self.bytes = bytes
  }
}

/// Candidates in the order of their list. Ten million are made where they are read.
public struct CandidateList: RandomAccessCollection, Sendable {
  private var ids = PackedStrings()
  /// Empty where the path is the id.
  private var paths = PackedStrings()
  private var labels: [Int32] = []
  // Columns that most lists do without; empty until a clip needs one.
  private var others: [[Int32]] = []
  private var parts: [ClipPart] = []
  private var bytes: [Range<UInt64>?] = []
  private var lines: [UInt32] = []
  private var byID = HashIndex()
  private var byFile = HashIndex()

  /// The first candidate with several classes, and the line of its row; nil if none has.
  public var firstWithSeveralClasses: (candidate: ClipCandidate, line: Int)? {
    others.firstIndex { !$0.isEmpty }.map { (self[$0], line($0)) }
  }

  public var startIndex: Int { 0 }
  public var endIndex: Int { labels.count }

  public subscript(number: Int) -> ClipCandidate {
    ClipCandidate(
      id: ids.string(number), path: String(decoding: path(number), as: UTF8.self),
      labels: [Int(labels[number])] + (others.isEmpty ? [] : others[number].map { Int($0) }), part: part(number),
      bytes: bytes.isEmpty ? nil : bytes[number])
  }

  public init() {}

  /// The line of a candidate's row.
  func line(_ number: Int) -> Int { Int(lines[number]) }

  func id(_ number: Int) -> String { ids.string(number) }

  mutating func append(_ clip: ClipCandidate, line: Int) {
    let number = labels.count
    ids.append(clip.id.utf8)
    // By bytes: to Swift, names that differ may be equal.
    paths.append(clip.path.utf8.elementsEqual(clip.id.utf8) ? "".utf8 : clip.path.utf8)
    labels.append(Int32(clamping: clip.labels[0]))
    lines.append(UInt32(clamping: line))
    if clip.labels.count > 1, others.isEmpty { others = Array(repeating: [], count: number) }
    if clip.labels.count > 1 || !others.isEmpty { others.append(clip.labels.dropFirst().map { Int32(clamping: $0) }) }
    if clip.part != .whole, parts.isEmpty { parts = Array(repeating: .whole, count: number) }
    if clip.part != .whole || !parts.isEmpty { parts.append(clip.part) }
    if clip.bytes != nil, bytes.isEmpty { bytes = Array(repeating: nil, count: number) }
    if clip.bytes != nil || !bytes.isEmpty { bytes.append(clip.bytes) }
    // Copies that share their memory: a closure may not use `self` while a table changes.
    let (ids, paths, parts, bytes) = (ids, paths, parts, bytes)
    byID.add(hash: HashIndex.hash(clip.id.utf8)) { HashIndex.hash(ids[$0]) }
    byFile.add(hash: Self.hash(clip.path.utf8, clip.part, clip.bytes)) { number in
      Self.hash(
        paths[number].isEmpty ? ids[number] : paths[number], parts.isEmpty ? .whole : parts[number],
        bytes.isEmpty ? nil : bytes[number])
    }
  }

  /// Rows that share a file differ in its part.
  private static func hash(_ path: some Sequence<UInt8>, _ part: ClipPart, _ bytes: Range<UInt64>?) -> UInt64 {
    let seed: UInt64 =
      switch part {
      case .whole: 0
      case .seconds(let from, let to): from.bitPattern &* 0x9E37_79B9_7F4A_7C15 ^ to.bitPattern
      case .frames(let first, let last):
        UInt64(bitPattern: Int64(first)) &* 0x9E37_79B9_7F4A_7C15 ^ UInt64(bitPattern: Int64(last))
      }
    return HashIndex.hash(path, seed: seed ^ (bytes?.lowerBound ?? 0) &* 0xC2B2_AE3D_27D4_EB4F)
  }

  /// The candidate with this id.
  func number(id: String) -> Int? { byID.first(HashIndex.hash(id.utf8)) { ids[$0].elementsEqual(id.utf8) } }

  /// The candidate that is the same part of the same file.
  func number(of file: ClipFile) -> Int? {
    byFile.first(Self.hash(file.path.utf8, file.part, file.bytes)) { number in
      path(number).elementsEqual(file.path.utf8) && part(number) == file.part
        && (bytes.isEmpty ? nil : bytes[number]) == file.bytes
    }
  }

  /// Where the file begins in its shard.
  func start(_ number: Int) -> UInt64 { bytes.isEmpty ? 0 : bytes[number]?.lowerBound ?? 0 }

  func path(_ number: Int) -> ArraySlice<UInt8> { paths[number].isEmpty ? ids[number] : paths[number] }

  private func part(_ number: Int) -> ClipPart { parts.isEmpty ? .whole : parts[number] }
}
