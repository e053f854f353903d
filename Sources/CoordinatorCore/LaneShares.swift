// How many lanes each worker computes, by its speed alone. `lanePlan` begins from here.

/// Divides `lanes` lanes among ranks in proportion to their weights (threads, or measured speed): contiguous, each lane
/// once, by largest remainders. A pure function, so that a plan can be checked.
func laneShares(lanes: Int, weights: [Int]) -> [[Int]] {
  precondition(weights.allSatisfy { $0 >= 0 } && weights.contains { $0 > 0 }, "some weight must be positive")
  let total = weights.reduce(0, +)
  var counts = weights.map { lanes * $0 / total }
  let remainders = weights.indices.sorted { a, b in
    let (ra, rb) = (lanes * weights[a] % total, lanes * weights[b] % total)
    return ra != rb ? ra > rb : a < b
  }
  for rank in remainders.prefix(lanes - counts.reduce(0, +)) { counts[rank] += 1 }
  var next = 0
  return counts.map { count in
    defer { next += count }
    return Array(next..<next + count)
  }
}
