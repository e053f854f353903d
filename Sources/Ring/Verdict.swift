// What all ranks do with a reduced step: a pure function of the ballots, the same at every rank.
import Shared

/// The outcome of an attempt.
///
/// In this order, first found first:
/// 1. weights, scales, lanes or clips that do not fit together: what was computed from them, overflow and NaN included, says
///    nothing about the data, so the rank at fault is named before anything else;
/// 2. sums that differ, or that are not the sum of the partials; not where exponents are raised, as those sums lack the
///    elements that overflowed, and are thrown away;
/// 3. gradients that are not finite: trying again cannot help;
/// 4. raised exponents;
/// 5. commit.
public enum Verdict: Hashable, Sendable {
  /// Apply the sum; at the next step the directive of this number takes effect.
  case commit(directive: UInt64)
  /// All repeat the step's lanes with these exponents.
  case repeatStep(raised: [RaisedExponent])
  case nonFinite([NonFiniteGradient])
  /// Nothing may be applied. `suspects` are positions in the ring: all of them where nothing tells whom to believe,
  /// none where the states agree and computing the step again will do.
  case corrupt(suspects: [Int], reason: String)

  /// - Parameters:
  ///   - ballots: of all ranks, by position.
  ///   - clips: `ClipPairs` of what each of the step's lanes is to train, by lane. It names the rank that trained
  ///     something else; whether anybody did is told by the ballots alone.
  public static func of(_ ballots: [Ballot], clips: [Digest128]) -> Verdict {
    precondition(!ballots.isEmpty, "a verdict without ballots")
    if let odd = dissenters(ballots.map(\.weightsDigest)) {
      return .corrupt(suspects: odd, reason: "the ranks started the step from different weights")
    }
    if let odd = dissenters(ballots.map(\.scalesDigest)) {
      return .corrupt(suspects: odd, reason: "the ranks quantised with different scales")
    }
    if let fault = laneFault(ballots, clips.count) { return fault }
    if let fault = clipFault(ballots, clips) { return fault }

    let raised = Dictionary(ballots.flatMap(\.raised).map { ($0.tensor, $0.exponent) }, uniquingKeysWith: max)
    if raised.isEmpty, let fault = sumFault(ballots) { return fault }
    let nonFinite = Set(ballots.flatMap(\.nonFinite))
    if !nonFinite.isEmpty {
      return .nonFinite(nonFinite.sorted { ($0.tensor, $0.lane) < ($1.tensor, $1.lane) })
    }
    if !raised.isEmpty {
      let entries = raised.map { RaisedExponent(tensor: $0.key, exponent: $0.value) }
      return .repeatStep(raised: entries.sorted { $0.tensor < $1.tensor })
    }
    return .commit(directive: ballots.map(\.directive).min() ?? 0)
  }

  /// All must have the same sum, and it must be that of all partials.
  private static func sumFault(_ ballots: [Ballot]) -> Verdict? {
    let total = ballots.reduce(UInt64(0)) { $0 &+ $1.partialChecksum }
    let wrong = ballots.indices.filter { ballots[$0].sumChecksum != total }
    if let odd = dissenters(ballots.map(\.sumDigest)) {
      // The checksums tell whose sum is wrong also where there is no majority, as between two.
      let right = Set(ballots.indices.filter { !wrong.contains($0) }.map { ballots[$0].sumDigest })
      return .corrupt(
        suspects: right.count == 1 ? wrong : odd, reason: "the ranks reduced to different sums")
    }
    return wrong.isEmpty
      ? nil : .corrupt(suspects: [], reason: "the reduced sum is not the sum of the ranks' partials")
  }

  /// All must expect the same clips, and have trained them.
  private static func clipFault(_ ballots: [Ballot], _ clips: [Digest128]) -> Verdict? {
    if let odd = dissenters(ballots.map(\.expectedClips)) {
      return .corrupt(suspects: odd, reason: "the ranks expect different clips in the step")
    }
    guard ClipPairs.sum(ballots.map(\.trainedClips)) != ballots[0].expectedClips else { return nil }
    let suspects = ballots.indices.filter { position in
      let lanes = clips.indices.filter { ballots[position].lanes.contains($0) }
      return ballots[position].trainedClips != ClipPairs.sum(lanes.map { clips[$0] })
    }
    return .corrupt(suspects: suspects, reason: "other clips were trained than those of the step")
  }

  /// Each of the lanes 0..<V must be in exactly one partial.
  private static func laneFault(_ ballots: [Ballot], _ laneCount: Int) -> Verdict? {
    var covered = LaneSet()
    for ballot in ballots {
      guard ballot.lanes.isDisjoint(with: covered) else { return overlap(ballots) }
      covered.formUnion(ballot.lanes)
    }
    guard covered != LaneSet(0..<laneCount) else { return nil }
    let missing = (0..<laneCount).filter { !covered.contains($0) }
    let reason = missing.isEmpty ? "there are lanes beyond \(laneCount - 1)" : "no partial has lanes \(missing)"
    return .corrupt(suspects: Array(ballots.indices), reason: reason)
  }

  private static func overlap(_ ballots: [Ballot]) -> Verdict? {
    for (i, ballot) in ballots.enumerated() {
      let overlapping = ballots.indices.filter { !ballot.lanes.isDisjoint(with: ballots[$0].lanes) || $0 == i }
      if overlapping.count > 1 { return .corrupt(suspects: overlapping, reason: "a lane is in two partials") }
    }
    return nil
  }
}
