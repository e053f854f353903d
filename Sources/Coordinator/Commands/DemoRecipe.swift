// The recipe that is used when there is none: it learns the data that `coordinator demo-data` writes.
import Foundation
import Shared

extension Recipe {
  /// Six classes of motion, in some minutes on two cores.
  static var demo: Recipe {
    var recipe = Recipe()
    recipe.name = "demo"
    recipe.model.width = 16
    recipe.model.groups = 8
    recipe.model.inputSize = 64
    recipe.model.dropout = 0
    recipe.model.classes = 6
    recipe.optimizer.learningRate = 0.05
    recipe.schedule.epochs = 12
    recipe.schedule.warmupEpochs = 1
    recipe.batch.lanes = 2
    recipe.batch.clipsPerLane = 8
    recipe.data.path = URL(fileURLWithPath: "demo-data").path
    recipe.data.flip = false
    return recipe
  }
}
