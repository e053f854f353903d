// A network with the weights of a model file: what prediction uses.
import BLVNet
import Checkpoint
import Foundation
import Recipes
import Shared

/// A trained network. It is immutable, and all threads share it.
public struct TrainedModel: Sendable {
  public let network: Network
  public let parameters: FloatStorage
  public let statistics: FloatStorage
  /// The recipe's keys that evaluation needs.
  public let recipe: Recipe
  private let names: [String]

  /// - Parameters:
  ///   - recipe: replaces what the file says of its network.
  /// - Throws: `SharedError`, `CheckpointError` or `BLVNetError` if the file cannot be read, does not say which network
  ///   it is of, or does not fit that network; naming the keys in which the file and the given recipe differ.
  public init(_ file: ModelFile, recipe given: Recipe? = nil) throws {
    let data = try file.data()
    let tensors = try SafeTensors(data, origin: file.path)
    let described = try ModelDescription(tensors, origin: file.path)
    let kept = try described == nil ? file.recipe.map { try Recipe(ofRun: $0) } : nil
    guard var recipe = given ?? described?.recipe ?? kept else {
      throw SharedError(
        .badConfiguration,
        "\(file.path): does not say which network it is of; name the recipe that it was trained with "
          + "(--recipe)")
    }
    let own = described ?? kept.map { ModelDescription($0, classes: []) }
    if let difference = own?.difference(from: recipe, others: ["model.classes", "loss.kind"]) {
      throw SharedError(
        .badConfiguration, "\(file.path): \(difference); name the recipe that it was trained with (--recipe)")
    }
    // Weights are the same numbers in every precision; float32 runs everywhere.
    (recipe.precision, recipe.emulateBF16) = (.float32, false)
    // Nothing is trained here.
    (recipe.model.freeze, recipe.model.partialNorm) = (NamePatterns(), false)
    self.recipe = recipe
    names = described?.classes ?? []
    network = try Network(recipe.model, engine: recipe.makeEngine())
    parameters = FloatStorage(count: network.layout.parameterCount)
    statistics = FloatStorage(count: network.layout.statisticCount)
    let slots = [
      StateSlot(
        "parameters", .model, tensors: network.layout.parameters.map(NamedTensor.init), .floats(parameters)),
      StateSlot(
        "statistics", .model, tensors: network.layout.statistics.map(NamedTensor.init), .floats(statistics)),
    ]
    try TrainingStateCodec(slots).decodeModel(data, origin: file.path)
  }

  /// The name of a class; its number where the file holds no name for it.
  public func name(ofClass number: Int) -> String {
    names.indices.contains(number) && !names[number].isEmpty ? names[number] : "class \(number)"
  }

  /// The probabilities that the summed logits of some views stand for: softmax of their mean; of a network with a
  /// binary loss the sigmoid of each mean.
  /// - Parameter sums: [classes], over `views` views.
  public func probabilities(_ sums: [Float], views: Int) -> [Double] {
    Self.probabilities(sums, views: views, recipe.loss.kind)
  }

  static func probabilities(_ sums: [Float], views: Int, _ kind: LossRecipe.Kind) -> [Double] {
    let mean = sums.map { Double($0) / Double(views) }
    if kind == .binary { return mean.map(sigmoid) }
    let top = mean.max() ?? 0
    let powers = mean.map { PortableMath.exp($0 - top) }
    let total = powers.reduce(0, +)
    return powers.map { $0 / total }
  }
}
