// The order in which the files of a list are looked at: the rows of one file follow one another, and a shard is read
// from its beginning to its end.

/// Whether a file comes before another one: by the bytes of their paths, then by where they begin in a shard.
public func isEarlierFile(
  _ path: some Collection<UInt8>, _ start: UInt64, than other: some Collection<UInt8>, _ otherStart: UInt64
) -> Bool {
  // By bytes: to Swift, names that differ may be equal.
  path.elementsEqual(other) ? start < otherStart : path.lexicographicallyPrecedes(other)
}

extension CandidateList {
  /// The candidates' numbers in the order of their files.
  public var orderOfFiles: [UInt32] {
    (0..<UInt32(count)).sorted { first, second in
      let (a, b) = (Int(first), Int(second))
      return isEarlierFile(path(a), start(a), than: path(b), start(b))
    }
  }
}

extension ClipEntries {
  /// The clips' numbers in the order of their files. No clip is made for it: only their bytes are compared.
  public var orderOfFiles: [UInt32] {
    let order = (0..<UInt32(count)).sorted { first, second in
      let (a, b) = (ClipEntry.file(rows, Int(first)), ClipEntry.file(rows, Int(second)))
      return unsafe rows.bytes.read(a.path) { path in
        unsafe rows.bytes.read(b.path) { other in unsafe isEarlierFile(path, a.offset, than: other, b.offset) }
      }
    }
    rows.release(before: count)
    return order
  }
}
