import Shared
import Testing

@testable import Ring

@Suite struct VerdictTests {
  /// The partials' checksums are −1, 0, 1, …; `sumChecksum` is their total where nothing is wrong.
  private func ballots(_ lanes: [[Int]]) -> [Ballot] {
    let total = lanes.indices.reduce(UInt64(0)) { $0 &+ (UInt64($1) &- 1) }
    return lanes.enumerated().map { position, lanes in
      Ballot(
        rank: UInt32(position), sumDigest: Digest128(high: 1, low: 1), weightsDigest: Digest128(high: 2, low: 2),
        scalesDigest: 3, partialChecksum: UInt64(position) &- 1,
        sumChecksum: total, lanes: LaneSet(lanes),
        directive: UInt64(20 - position))
    }
  }

  /// Three ranks, four lanes.
  private func verdict(_ change: (inout [Ballot]) -> Void) -> Verdict {
    var all = ballots([[0, 3], [1], [2]])
    change(&all)
    return Verdict.of(all, laneCount: 4)
  }

  private func suspects(_ verdict: Verdict) -> [Int]? {
    if case .corrupt(let suspects, _) = verdict { return suspects }
    return nil
  }

  @Test("equal ballots commit, with the smallest directive")
  func commit() {
    #expect(verdict { _ in } == .commit(directive: 18))
    let alone = ballots([[0, 1]])
    #expect(Verdict.of(alone, laneCount: 2) == .commit(directive: 20))
  }

  @Test("the odd one out is named; without a majority all are")
  func oddOneOut() {
    let other = Digest128(high: 9, low: 9)
    #expect(suspects(verdict { $0[1].sumDigest = other }) == [1])
    #expect(suspects(verdict { $0[2].weightsDigest = other }) == [2])
    #expect(suspects(verdict { $0[0].scalesDigest = 0 }) == [0])
    #expect(
      suspects(
        verdict {
          $0[0].sumDigest = other
          $0[1].sumDigest = Digest128(high: 8, low: 8)
        }) == [0, 1, 2])
    var two = ballots([[0], [1]])
    two[1].weightsDigest = other
    #expect(suspects(Verdict.of(two, laneCount: 2)) == [0, 1])
  }

  @Test("a sum that is not the sum of the partials is not applied, and nobody is blamed for it")
  func checksum() {
    #expect(suspects(verdict { $0[1].partialChecksum = 1 }) == [])
  }

  @Test("of two ranks with different sums, the one whose checksum does not add up is the odd one")
  func oddOfTwo() {
    var two = ballots([[0], [1]])
    two[1].sumDigest = Digest128(high: 9, low: 9)
    #expect(suspects(Verdict.of(two, laneCount: 2)) == [0, 1])
    two[1].sumChecksum = 7
    #expect(suspects(Verdict.of(two, laneCount: 2)) == [1])
  }

  @Test("lanes twice, lanes missing and lanes too many are faults")
  func lanes() {
    #expect(suspects(verdict { $0[1].lanes = LaneSet([0, 1]) }) == [0, 1])
    #expect(suspects(verdict { $0[1].lanes = LaneSet() }) == [0, 1, 2])
    #expect(suspects(verdict { $0[1].lanes = LaneSet([1, 4]) }) == [0, 1, 2])
    #expect(suspects(verdict { $0[1].lanes = LaneSet([1, 70]) }) == [0, 1, 2])
  }

  @Test("raised exponents merge to their maxima, and come before differing sums")
  func raised() {
    let outcome = verdict {
      $0[0].raised = [RaisedExponent(tensor: 5, exponent: -8)]
      $0[2].raised = [RaisedExponent(tensor: 5, exponent: -3), RaisedExponent(tensor: 1, exponent: 0)]
      $0[1].sumDigest = Digest128(high: 0, low: 0)
    }
    #expect(
      outcome
        == .repeatStep(raised: [RaisedExponent(tensor: 1, exponent: 0), RaisedExponent(tensor: 5, exponent: -3)]))
  }

  @Test("gradients that are not finite come before raised exponents, after corrupt weights")
  func nonFinite() {
    func change(_ all: inout [Ballot]) {
      all[0].raised = [RaisedExponent(tensor: 5, exponent: -8)]
      all[1].nonFinite = [NonFiniteGradient(tensor: 4, lane: 1)]
      all[2].nonFinite = [NonFiniteGradient(tensor: 2, lane: 2)]
    }
    let expected = [NonFiniteGradient(tensor: 2, lane: 2), NonFiniteGradient(tensor: 4, lane: 1)]
    #expect(verdict(change) == .nonFinite(expected))
    // Without raised exponents the sum is complete, and must be right, though it is not applied.
    let wrong = verdict {
      $0[1].nonFinite = [NonFiniteGradient(tensor: 4, lane: 1)]
      $0[2].sumDigest = Digest128(high: 9, low: 9)
    }
    #expect(suspects(wrong) == [2])
    let corrupt = verdict {
      change(&$0)
      $0[1].weightsDigest = Digest128(high: 0, low: 0)
    }
    #expect(suspects(corrupt) == [1])
  }

  @Test("a lane set holds what was put in, whatever its trailing words")
  func laneSet() {
    let set = LaneSet([3, 64, 200])
    #expect(set.count == 3 && set.contains(64) && !set.contains(65) && !set.contains(9999))
    #expect(LaneSet(words: [1, 0, 0]) == LaneSet([0]))
    #expect(LaneSet([1]).isDisjoint(with: LaneSet([65])))
  }
}
