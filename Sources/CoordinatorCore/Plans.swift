// Pure arithmetic behind a generation: which lanes go to whom, and in which order the ring runs.
import Shared
import Wire

/// Cuts `lanes` lanes among workers in proportion to `weights`; a worker keeps the lanes that it holds already.
/// - Parameters:
///   - held: by worker. If two hold a lane, the first keeps it.
///   - avoided: workers that a lane should not go to, by lane. Ignored if no other is left.
/// - Returns: each worker's lanes, ascending; and whether no other plan would be done sooner.
func lanePlan(
  lanes: Int, weights: [Int], held: [[Int]], avoided: [Int: Set<Int>] = [:]
) -> (lanes: [[Int]], isEven: Bool) {
  let wanted = laneShares(lanes: lanes, weights: weights)
  guard held.contains(where: { !$0.isEmpty }) || !avoided.isEmpty else { return (wanted, true) }
  var plan = Array(repeating: [Int](), count: weights.count)
  var taken = Set<Int>()
  for (worker, own) in held.enumerated() {
    for lane in own where lane < lanes && taken.insert(lane).inserted { plan[worker].append(lane) }
  }
  for lane in 0..<lanes where !taken.contains(lane) {
    let able = weights.indices.filter { !(avoided[lane]?.contains($0) ?? false) }
    // The worker furthest below its share; the first of several.
    let taker = (able.isEmpty ? Array(weights.indices) : able).max { a, b in
      let (short, shorter) = (wanted[a].count - plan[a].count, wanted[b].count - plan[b].count)
      return short != shorter ? short < shorter : a > b
    }
    plan[taker ?? 0].append(lane)
  }
  func load(_ shares: [[Int]]) -> Double { zip(shares, weights).map { Double($0.count) / Double($1) }.max() ?? 0 }
  let isEven = !avoided.isEmpty || load(plan) <= load(wanted)
  return (plan.map { $0.sorted() }, isEven)
}

/// An order of the ring without the broken links: places in `workers`, starting with the first; nil where there is
/// none.
func ringOrder(_ workers: [WorkerIdentity], avoiding broken: Set<Link>) -> [Int]? {
  guard workers.count > 1, !broken.isEmpty else { return Array(workers.indices) }
  var order = [0]
  // With a few broken links among many workers, backtracking is rare. The search is bounded all the same.
  var tries = 0
  func extend() -> Bool {
    tries += 1
    guard tries < 10_000, let last = order.last else { return false }
    if order.count == workers.count { return !broken.contains(Link(from: workers[last], to: workers[0])) }
    for next in workers.indices
    where !order.contains(next) && !broken.contains(Link(from: workers[last], to: workers[next])) {
      order.append(next)
      if extend() { return true }
      order.removeLast()
    }
    return false
  }
  return extend() ? order : nil
}
