// A few steps of training in one process: the path of a worker, with one lane and nobody to exchange sums with.
import Checkpoint
import Recipes
import Ring
import Shared

@testable import BLVNet
@testable import Training

func randomNumbers(_ count: Int, seed: UInt64) -> FloatStorage {
  var random = Philox(seed: seed, .selfTest)
  return FloatStorage((0..<count).map { _ in Float(2 * random.unit() - 1) })
}

struct ShortTraining {
  let network: Network
  let state: TrainingState
  private let lane: Lane
  private let input: FloatStorage
  private let labels: [Int]
  private let loss: ClassLoss

  init(
    _ network: Network, _ rule: any UpdateRule, _ settings: UpdateSettings = UpdateSettings(),
    _ weights: LossRecipe.ClassWeights = .equal, steps: StepPlan? = nil
  ) {
    var recipe = Recipe()
    recipe.seed = 9
    recipe.optimizer.learningRate = 0.05
    (recipe.batch.lanes, recipe.batch.clipsPerLane) = (1, 4)
    recipe.loss.classWeights = weights
    if case .list(let weights) = weights { loss = ClassLoss(weights: weights) } else { loss = ClassLoss() }
    self.network = network
    state = TrainingState(
      network, rule, TrainingPlan(recipe, steps: steps ?? recipe.steps(clips: 12), indexDigest: "index"),
      settings: settings)
    lane = Lane(network, maximumClips: 4)
    input = randomNumbers(4 * network.inputCount, seed: 1)
    labels = (0..<4).map { $0 % network.classes }
  }

  /// Always on the same clips.
  /// - Returns: the mean loss of each step.
  func train(steps: Int) throws -> [Double] {
    try (0..<steps).map { _ in
      let work = GradientAccumulator(
        tensorCounts: network.layout.gradients.map(\.count),
        statisticCount: network.layout.statisticCount + LaneStatistics.extra(isWeighted: loss.isWeighted), laneCount: 1)
      let exponents = state.exponents
      let attempt = GradientAccumulator.Attempt(seed: 9, step: state.step, exponents: exponents)
      let result = try lane.train(
        parameters: state.parameters, statistics: state.statistics, input: input,
        targets: labels.map { ClassTarget($0) }, loss: loss, dropout: DropoutKey(seed: 9, step: state.step, lane: 0)
      ) { tensor, gradient in
        _ = work.add(tensor: tensor, lane: 0, gradient: gradient, in: attempt, sharing: lane.share)
      }
      work.addStatistics(
        LaneStatistics.entries(result, clips: labels.count, lanes: 1, isWeighted: loss.isWeighted), at: 0, lane: 0)
      state.apply(work.partial, exponents: exponents, skipping: false)
      return LaneStatistics.tally(of: work.partial, isWeighted: loss.isWeighted).loss
    }
  }
}
