// Makes the training state of a worker's run; what it is and does is in Sources/Training/TrainingState.swift.
import BLVNet
import Shared
import Training

extension TrainingState {
  convenience init(_ context: RunContext, initial: InitialModel?) {
    self.init(
      context.network, context.rule,
      TrainingPlan(
        context.recipe, steps: context.steps, indexDigest: context.train.digest.description,
        classes: context.train.classes),
      settings: context.settings, initial: initial)
  }
}
