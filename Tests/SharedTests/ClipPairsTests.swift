// The digest of the clips that a step's lanes trained.
import Shared
import Testing

@Suite struct ClipPairsTests {
  /// Made with `pairs_digest` of cluster/audit.py, which was written from the formula in docs/journal.md.
  @Test("the digest is that of the other implementation")
  func golden() {
    let pairs = [(lane: 0, clip: 10), (lane: 1, clip: 11), (lane: 1, clip: 12)]
    #expect(ClipPairs.digest(step: 3, pairs).description == "778cd6a081c121bb86118106f0f70e18")
    #expect(
      ClipPairs.digest(step: 1 << 40, [(lane: 63, clip: 240_000)]).description == "3297931aa9103759b1e599911e9bcc87")
    #expect(ClipPairs.digest(step: 0, []) == ClipPairs.none)
  }

  @Test("parts add up in any order, and another clip, lane or step gives another digest")
  func parts() {
    let parts = [
      ClipPairs.digest(step: 3, lane: 1, clips: [12, 11]), ClipPairs.digest(step: 3, lane: 2, clips: []),
      ClipPairs.digest(step: 3, lane: 0, clips: [10]),
    ]
    let whole = ClipPairs.digest(step: 3, [(0, 10), (1, 11), (1, 12)])
    #expect(ClipPairs.sum(parts) == whole && ClipPairs.sum(parts.reversed()) == whole)
    let others = [
      ClipPairs.digest(step: 3, [(0, 11), (1, 10), (1, 12)]), ClipPairs.digest(step: 4, [(0, 10), (1, 11), (1, 12)]),
      ClipPairs.digest(step: 3, [(1, 10), (1, 11), (1, 12)]), ClipPairs.digest(step: 3, [(0, 10), (1, 11), (1, 13)]),
      ClipPairs.digest(step: 3, [(0, 10), (1, 11)]), ClipPairs.digest(step: 3, [(0, 10), (1, 11), (1, 12), (1, 12)]),
    ]
    #expect(Set(others + [whole]).count == 7)
    #expect(others.allSatisfy { $0.high != whole.high && $0.low != whole.low })
  }
}
