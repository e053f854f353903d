// What a recipe says of its data, as the data set's lists take it.
import Dataset
import Recipes
import Remote

extension DataSetDescription {
  init(_ recipe: Recipe, remote: RemoteFiles? = nil) {
    self.init()
    self.remote = remote ?? RemoteFiles(recipe)
    format = recipe.data.format
    path = recipe.data.path
    trainList = recipe.data.trainList
    validationList = recipe.data.validationList
    trainVideos = recipe.data.trainVideos
    validationVideos = recipe.data.validationVideos
    labels = recipe.data.labels
    seed = recipe.seed
    validationFraction = recipe.data.validationFraction
  }
}
