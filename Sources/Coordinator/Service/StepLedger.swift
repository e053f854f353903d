// Where the workers' time goes, for `--verbose`: a line a worker, means over the steps since the last time.
import CoordinatorCore
import Shared
import Wire

struct StepLedger {
  private struct Sum {
    var steps = 0
    var lanes = 0
    var times: [Double]
  }

  /// In the order in which they are shown; the last is not a part of the step's time, but lies beside it.
  private static let parts: [(String, any KeyPath<StepTimes, Double> & Sendable)] = [
    ("clips", \.decodeWait), ("forward", \.forward), ("backward", \.backward), ("quantise", \.quantise),
    ("idle", \.idle), ("ring", \.reduce), ("vote", \.vote), ("apply", \.apply), ("in the ring meanwhile", \.overlap),
  ]

  private var sums: [Int: Sum] = [:]
  private var shown = Duration.zero

  mutating func add(_ step: CommittedStep) {
    for (rank, share) in step.shares {
      var sum = sums[rank] ?? Sum(times: Self.parts.map { _ in 0 })
      sum.steps += 1
      sum.lanes += share.lanes.count
      for (i, part) in Self.parts.enumerated() { sum.times[i] += share.times[keyPath: part.1] }
      sums[rank] = sum
    }
  }

  /// Every ten seconds and at an epoch's end; else none.
  mutating func lines(at now: Duration, endsEpoch: Bool) -> [String] {
    guard endsEpoch || now - shown >= .seconds(10) else { return [] }
    shown = now
    defer { sums = [:] }
    return sums.sorted { $0.key < $1.key }.map { rank, sum in
      let means = sum.times.map { $0 / Double(sum.steps) }
      let step = means.dropLast().reduce(0, +)
      let parts = zip(Self.parts, means).map { "\($0.0) \(fixed($1, 3))" }
      return "  worker \(rank): \(fixed(Double(sum.lanes) / Double(sum.steps), 1)) lanes in \(fixed(step, 3)) s: "
        + parts.dropLast().joined(separator: "  ") + "  (\(parts.last ?? ""))"
    }
  }
}
