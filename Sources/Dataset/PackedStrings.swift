// Millions of short texts in little memory: their bytes one after the other, and a hash table of their numbers.

/// Texts by number, 8 bytes each beside their own.
struct PackedStrings: Sendable {
  // Chunks, so that growing never copies all bytes.
  private var chunks: [[UInt8]] = []
  /// The chunk, and the offset in it, of each text's first byte.
  private var starts: [UInt64] = []
  private static let chunkBytes = 1 << 20

  var count: Int { starts.count }

  mutating func append(_ bytes: some Collection<UInt8>) {
    if chunks.isEmpty || chunks[chunks.count - 1].count >= Self.chunkBytes { chunks.append([]) }
    let last = chunks.count - 1
    starts.append(UInt64(last) << 32 | UInt64(chunks[last].count))
    chunks[last].append(contentsOf: bytes)
  }

  subscript(index: Int) -> ArraySlice<UInt8> {
    let chunk = Int(starts[index] >> 32)
    let start = Int(starts[index] & 0xFFFF_FFFF)
    let next = index + 1
    let end =
      next < starts.count && Int(starts[next] >> 32) == chunk ? Int(starts[next] & 0xFFFF_FFFF) : chunks[chunk].count
    return chunks[chunk][start..<end]
  }

  func string(_ index: Int) -> String { String(decoding: self[index], as: UTF8.self) }
}

/// A hash table of the numbers 0, 1, 2…, at most 12 bytes each. What the numbers stand for is the caller's. Thousands
/// may have one hash, as the rows that share a file do: adding one takes no longer then.
struct HashIndex: Sendable {
  /// For each value of a hash's low bits, the number that was added last, plus 1; 0 if there is none.
  private var heads: [UInt32] = []
  /// For each number, the one that was added before it to the same head, plus 1.
  private var earlier: [UInt32] = []

  static func hash(_ bytes: some Sequence<UInt8>, seed: UInt64 = 0) -> UInt64 {
    // FNV-1a, whose low bits are then mixed.
    var hash: UInt64 = 0xCBF2_9CE4_8422_2325 ^ seed
    for byte in bytes { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
    hash ^= hash >> 32
    hash = hash &* 0x9E37_79B9_7F4A_7C15
    return hash ^ hash >> 29
  }

  /// The newest number with this hash for which `isWanted` holds. Numbers with other hashes may be passed to it too.
  func first(_ hash: UInt64, where isWanted: (Int) -> Bool) -> Int? {
    guard !heads.isEmpty else { return nil }
    var link = heads[Int(hash & UInt64(heads.count - 1))]
    while link != 0 {
      let number = Int(link) - 1
      if isWanted(number) { return number }
      link = earlier[number]
    }
    return nil
  }

  /// Adds the next number.
  ///
  /// - Parameter hashOf: the hash of a number that was added before.
  mutating func add(hash: UInt64, hashOf: (Int) -> UInt64) {
    let number = earlier.count
    precondition(number < UInt32.max, "more than 2^32 entries")
    if number == heads.count {
      heads = Array(repeating: 0, count: max(16, 2 * number))
      for old in 0..<number { link(old, hashOf(old)) }
    }
    earlier.append(0)
    link(number, hash)
  }

  private mutating func link(_ number: Int, _ hash: UInt64) {
    let head = Int(hash & UInt64(heads.count - 1))
    earlier[number] = heads[head]
    heads[head] = UInt32(number + 1)
  }
}
