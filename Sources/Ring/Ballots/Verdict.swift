// The outcome of the vote on a reduced step: a pure function of the ballots, so the same at every rank.
import Shared

/// The outcome of an attempt.
///
/// The first of these that applies:
/// 1. Weights, scales, lanes or clips do not match. Then nothing computed from them, overflow and NaN included, says
///    anything about the data, so the rank at fault is named first.
/// 2. Sums differ, or are not the sum of the partials. If exponents are raised, this is not checked: such sums lack the
///    elements that overflowed, and are discarded.
/// 3. Gradients are not finite: a repetition cannot help.
/// 4. Exponents are raised.
/// 5. Commit.
public enum Verdict: Hashable, Sendable {
  /// Apply the sum. The directive of this number takes effect at the next step.
  case commit(directive: UInt64)
  /// All ranks repeat the step's lanes with these exponents.
  case repeatStep(raised: [RaisedExponent])
  case nonFinite([NonFiniteGradient])
  /// Nothing may be applied. `suspects` are positions in the ring: all of them if there is no majority to believe, none
  /// if the states agree and recomputing the step suffices.
  case corrupt(suspects: [Int], reason: String)

  /// - Parameters:
  ///   - ballots: the ballots of all ranks, by position.
  ///   - clips: `ClipPairs` of the clips that each lane should train, by lane. They identify the rank that trained
  ///     others; the ballots alone decide whether any did.
  public static func of(_ ballots: [Ballot], clips: [Digest128]) -> Verdict {
    precondition(!ballots.isEmpty, "there are no ballots")
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

  /// All ranks must have the same sum, and it must be the sum of all partials.
  private static func sumFault(_ ballots: [Ballot]) -> Verdict? {
    let total = ballots.reduce(UInt64(0)) { $0 &+ $1.partialChecksum }
    let wrong = ballots.indices.filter { ballots[$0].sumChecksum != total }
    if let odd = dissenters(ballots.map(\.sumDigest)) {
      // The checksums show whose sum is wrong even without a majority, as between two ranks. Whoever has the wrong sum
      // of a left neighbour that has it too was given it.
      let right = Set(ballots.indices.filter { !wrong.contains($0) }.map { ballots[$0].sumDigest })
      let first = wrong.filter { !wrong.contains(($0 + ballots.count - 1) % ballots.count) }
      return .corrupt(
        suspects: right.count == 1 ? first : odd, reason: "the ranks reduced to different sums")
    }
    return wrong.isEmpty
      ? nil : .corrupt(suspects: [], reason: "the reduced sum is not the sum of the ranks' partials")
  }

  /// All ranks must expect the same clips, and must have trained them.
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
