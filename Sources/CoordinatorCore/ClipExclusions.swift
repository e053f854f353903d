// Clips that cannot be decoded: who has tried, and which are excluded.
import Shared
import Wire

/// What excluding clips depends on.
package struct EpochRules: Sendable {
  package var plan = StepPlan(clips: Int(Int32.max), lanes: 1, clipsPerLane: Int(Int32.max))
  /// The fraction of an epoch's clips that may be excluded; eight always may.
  package var maximumLost = 0.01

  package init() {}

  var mostLost: Int { max(8, Int(Double(plan.clips) * maximumLost)) }
}

struct ClipExclusions {
  /// Journaled.
  private(set) var excluded: [ClipExclusion]
  /// The ranks that could not decode a clip of the step in flight.
  private var failures: [ClipExclusion: Set<Int>] = [:]
  /// By lane of the step in flight, the ranks that it should not go to.
  private(set) var avoided: [Int: Set<Int>] = [:]

  init(_ excluded: [ClipExclusion]) { self.excluded = excluded }

  func contains(_ clip: ClipExclusion) -> Bool { excluded.contains(clip) }

  func from(_ step: UInt64) -> [ClipExclusion] { excluded.filter { $0.step >= step } }

  /// - Returns: the ranks that cannot compute the clip's lane. Whoever failed on another clip of it cannot either.
  mutating func failed(_ clip: ClipExclusion, on rank: Int) -> Set<Int> {
    failures[clip, default: []].insert(rank)
    return failures[clip, default: []].union(avoided[clip.lane] ?? [])
  }

  mutating func avoid(_ ranks: Set<Int>, lane: Int) { avoided[lane, default: []].formUnion(ranks) }

  mutating func exclude(_ clip: ClipExclusion) { excluded.append(clip) }

  /// The step in flight is committed.
  mutating func committed() { (failures, avoided) = ([:], [:]) }

  /// Why the run cannot go on without one more clip; nil where it can.
  func problem(excluding clip: ClipExclusion, _ rules: EpochRules) -> String? {
    let epoch = rules.plan.epoch(of: clip.step)
    let lost = Set(excluded.filter { rules.plan.epoch(of: $0.step) == epoch })
    if lost.count + 1 > rules.mostLost {
      return "more than \(rules.mostLost) clips of epoch \(epoch + 1) cannot be decoded by any worker "
        + "(data.maximum_lost is \(rules.maximumLost))"
    }
    if lost.count(where: { $0.step == clip.step }) + 1 >= rules.plan.clips(inStep: clip.step) {
      return "no clip of step \(clip.step) can be decoded by any worker"
    }
    return nil
  }
}
