// mixup and CutMix against their definitions; the loss of what comes out is tested with the other losses.
import Recipes
import Shared
import Testing

@testable import BLVNet
@testable import Training

@Suite struct ClipMixingTests {
  private func mixing(mixup: Double = 0, cutmix: Double = 0) -> ClipMixing {
    var recipe = Recipe()
    (recipe.data.mixup, recipe.data.cutmix) = (mixup, cutmix)
    return ClipMixing(recipe)
  }

  @Test("the planned clips of a lane are paired once each, by seed, step and lane alone")
  func pairs() {
    #expect(!mixing().isWanted)
    let mixing = mixing(mixup: 0.2, cutmix: 1)
    var seen: Set<[ClipMixing.Pair]> = []
    var cuts = 0
    for step in 0..<50 {
      let pairs = mixing.pairs(of: 5, size: 32, seed: 3, step: UInt64(step), lane: 2)
      #expect(pairs == mixing.pairs(of: 5, size: 32, seed: 3, step: UInt64(step), lane: 2))
      #expect(pairs.count == 2 && Set(pairs.flatMap { [$0.first, $0.second] }).count == 4)
      #expect(pairs.allSatisfy { (0...1).contains($0.share) })
      for pair in pairs {
        guard let box = pair.box else { continue }
        cuts += 1
        #expect(pair.share == 1 - Double(box.x.count * box.y.count) / 1024)
      }
      seen.insert(pairs)
    }
    #expect(seen.count == 50 && (30...70).contains(cuts))
    #expect(mixing.pairs(of: 1, size: 32, seed: 3, step: 0, lane: 0) == [])
  }

  @Test("shares have the mean and the variance of Beta(α, α)", arguments: [0.2, 1, 4])
  func shares(_ alpha: Double) {
    var random = Philox(seed: 1, .selfTest)
    let drawn = (0..<20_000).map { _ in ClipMixing.beta(alpha, &random) }
    let mean = drawn.reduce(0, +) / 20_000
    let variance = drawn.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / 20_000
    #expect(abs(mean - 0.5) < 0.01)
    #expect(abs(variance - 1 / (4 * (2 * alpha + 1))) < 0.005)
  }

  @Test("pixels and labels are mixed alike; a clip whose partner is excluded stays as it is")
  func mix() {
    let (frames, size) = (2, 4)
    let count = frames * size * size * 3
    func storage() -> FloatStorage { FloatStorage((0..<4 * count).map { Float($0 / count + 1) }) }
    let box = ClipMixing.Box(x: 1..<3, y: 0..<4)
    let pairs = [
      ClipMixing.Pair(first: 0, second: 3, share: 0.75, box: nil),
      ClipMixing.Pair(first: 2, second: 1, share: 0.5, box: box),
    ]
    let whole = storage()
    let targets = ClipMixing.mix(
      pairs, planned: [9, 8, 7, 6], trained: [9, 8, 7, 6], labels: [0, 1, 2, 3], whole, frames: frames, size: size)
    #expect(
      targets == [
        ClassTarget(0, share: 0.75, other: 3), ClassTarget(1, share: 0.5, other: 2),
        ClassTarget(2, share: 0.5, other: 1), ClassTarget(3, share: 0.75, other: 0),
      ])
    for i in 0..<count {
      let inside = (1..<3).contains(i / 3 % size)
      #expect(whole[i] == 0.75 * 1 + 0.25 * 4 && whole[3 * count + i] == 0.75 * 4 + 0.25 * 1)
      #expect(whole[count + i] == (inside ? 3 : 2) && whole[2 * count + i] == (inside ? 2 : 3))
    }
    // Clip 6 is excluded, so 9 stays; 8 and 7 are mixed as before.
    let part = storage()
    let rest = ClipMixing.mix(
      pairs, planned: [9, 8, 7, 6], trained: [9, 8, 7], labels: [0, 1, 2], part, frames: frames, size: size)
    #expect(
      rest == [ClassTarget(0), ClassTarget(1, share: 0.5, other: 2), ClassTarget(2, share: 0.5, other: 1)])
    #expect(part[0] == 1 && part[3 * count] == 4 && part[count + 3] == 3)
  }
}
