// The one rule by which a vote names who is wrong.

/// The positions outside the strict majority, or all positions if there is none; nil if all values are equal.
public func dissenters<Value: Hashable>(_ values: [Value]) -> [Int]? {
  let counts = Dictionary(values.map { ($0, 1) }, uniquingKeysWith: +)
  guard counts.count > 1 else { return nil }
  guard let majority = values.first(where: { 2 * (counts[$0] ?? 0) > values.count }) else {
    return Array(values.indices)
  }
  return values.indices.filter { values[$0] != majority }
}
