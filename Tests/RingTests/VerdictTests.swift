import Shared
import Testing

@testable import Ring

@Suite struct VerdictTests {
  /// Lane i of the step trains clip 10 + i.
  private static func clips(_ count: Int) -> [Digest128] {
    (0..<count).map { ClipPairs.digest(step: 3, lane: $0, clips: [10 + $0]) }
  }

  /// The partials' checksums are −1, 0, 1, …; `sumChecksum` is their total where nothing is wrong.
  private func ballots(_ lanes: [[Int]]) -> [Ballot] {
    let count = lanes.joined().count
    let total = lanes.indices.reduce(UInt64(0)) { $0 &+ (UInt64($1) &- 1) }
    return lanes.enumerated().map { position, lanes in
      Ballot(
        rank: UInt32(position), sumDigest: Digest128(high: 1, low: 1), weightsDigest: Digest128(high: 2, low: 2),
        scalesDigest: 3, partialChecksum: UInt64(position) &- 1,
        sumChecksum: total, trainedClips: ClipPairs.sum(lanes.map { Self.clips(4)[$0] }),
        expectedClips: ClipPairs.sum(Self.clips(count)), lanes: LaneSet(lanes),
        directive: UInt64(20 - position))
    }
  }

  /// Three ranks, four lanes.
  private func verdict(_ change: (inout [Ballot]) -> Void) -> Verdict {
    var all = ballots([[0, 3], [1], [2]])
    change(&all)
    return Verdict.of(all, clips: Self.clips(4))
  }

  private func suspects(_ verdict: Verdict) -> [Int]? {
    if case .corrupt(let suspects, _) = verdict { return suspects }
    return nil
  }

  @Test("equal ballots commit, with the smallest directive")
  func commit() {
    #expect(verdict { _ in } == .commit(directive: 18))
    let alone = ballots([[0, 1]])
    #expect(Verdict.of(alone, clips: Self.clips(2)) == .commit(directive: 20))
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
    #expect(suspects(Verdict.of(two, clips: Self.clips(2))) == [0, 1])
  }

  @Test("a sum that is not the sum of the partials is not applied, and nobody is blamed for it")
  func checksum() {
    #expect(suspects(verdict { $0[1].partialChecksum = 1 }) == [])
  }

  @Test("of two ranks with different sums, the one whose checksum does not add up is the odd one")
  func oddOfTwo() {
    var two = ballots([[0], [1]])
    two[1].sumDigest = Digest128(high: 9, low: 9)
    #expect(suspects(Verdict.of(two, clips: Self.clips(2))) == [0, 1])
    two[1].sumChecksum = 7
    #expect(suspects(Verdict.of(two, clips: Self.clips(2))) == [1])
  }

  @Test("a wrong sum that went on to right neighbours is blamed on the rank that it came from")
  func handedOn() {
    for first in 0..<4 {
      var four = ballots([[0], [1], [2], [3]])
      for place in [first, (first + 1) % 4] {
        four[place].sumDigest = Digest128(high: 9, low: 9)
        four[place].sumChecksum = 7
      }
      #expect(suspects(Verdict.of(four, clips: Self.clips(4))) == [first])
    }
  }

  @Test("lanes twice, lanes missing and lanes too many are faults")
  func lanes() {
    #expect(suspects(verdict { $0[1].lanes = LaneSet([0, 1]) }) == [0, 1])
    #expect(suspects(verdict { $0[1].lanes = LaneSet() }) == [0, 1, 2])
    #expect(suspects(verdict { $0[1].lanes = LaneSet([1, 4]) }) == [0, 1, 2])
    #expect(suspects(verdict { $0[1].lanes = LaneSet([1, 70]) }) == [0, 1, 2])
  }

  @Test("a rank that trained another clip than the step's is named, whatever its sums; so is one that expects others")
  func clips() {
    let other = ClipPairs.digest(step: 3, lane: 1, clips: [99])
    #expect(suspects(verdict { $0[1].trainedClips = other }) == [1])
    #expect(
      suspects(
        verdict {
          $0[1].trainedClips = other
          $0[1].raised = [RaisedExponent(tensor: 0, exponent: 1)]
          $0[2].nonFinite = [NonFiniteGradient(tensor: 4, lane: 1)]
        }) == [1])
    #expect(suspects(verdict { $0[2].expectedClips = other }) == [2])
    // The right clips in the wrong lanes are other clips.
    let (one, two) = (ClipPairs.digest(step: 3, lane: 1, clips: [12]), ClipPairs.digest(step: 3, lane: 2, clips: [11]))
    #expect(
      suspects(
        verdict {
          $0[1].trainedClips = one
          $0[2].trainedClips = two
        }) == [1, 2])
    var alone = ballots([[0, 1]])
    alone[0].trainedClips = ClipPairs.none
    #expect(suspects(Verdict.of(alone, clips: Self.clips(2))) == [0])
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
