// The set of lanes of a step that a rank has covered.

/// A set of lane numbers, as a bitmap.
public struct LaneSet: Hashable, Sendable {
  /// Bit l % 64 of word l / 64 is lane l. No trailing zero words.
  public private(set) var words: [UInt64]

  public init(words: [UInt64] = []) {
    self.words = words
    trim()
  }

  public init(_ lanes: some Sequence<Int>) {
    words = []
    for lane in lanes { insert(lane) }
  }

  public mutating func insert(_ lane: Int) {
    precondition(lane >= 0, "lane \(lane)")
    while words.count <= lane / 64 { words.append(0) }
    words[lane / 64] |= 1 << UInt64(lane % 64)
  }

  public func contains(_ lane: Int) -> Bool {
    lane >= 0 && lane / 64 < words.count && words[lane / 64] >> UInt64(lane % 64) & 1 == 1
  }

  public var count: Int { words.reduce(0) { $0 + $1.nonzeroBitCount } }

  public func isDisjoint(with other: LaneSet) -> Bool { zip(words, other.words).allSatisfy { $0 & $1 == 0 } }

  public mutating func formUnion(_ other: LaneSet) {
    while words.count < other.words.count { words.append(0) }
    for (i, word) in other.words.enumerated() { words[i] |= word }
  }

  private mutating func trim() { while words.last == 0 { words.removeLast() } }
}
