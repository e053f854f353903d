// The network as its users see it: a recipe's model, and its initial values.
import Recipes
import Shared

/// The network of one recipe: structure, layout and engine. It is immutable, and all lanes share it.
public final class Network: Sendable {
  public let recipe: ModelRecipe
  public let layout: StateLayout
  let structure: Structure
  let engine: any ConvolutionEngine

  /// - Throws: `BLVNetError(.badConfiguration)` naming the recipe's key, if the model cannot be built.
  public convenience init(_ model: ModelRecipe, engine: Recipe.Engine) throws {
    try self.init(model, engine: engine.make())
  }

  /// - Throws: as above.
  public convenience init(_ model: ModelRecipe, engine: any ConvolutionEngine) throws {
    try self.init(model, engine: engine, of: Models.all)
  }

  /// - Parameter models: the networks that the recipe may name.
  /// - Throws: as above.
  convenience init(_ model: ModelRecipe, engine: any ConvolutionEngine, of models: ModelRegistry) throws {
    let definition = try models.definition(of: model)
    self.init(model, Structure(freezing: Freezing(model)) { definition.build(model, &$0) }, engine: engine)
    let names = layout.parameters.map(\.name)
    let mistakes = (model.freeze.list + model.freeze.exceptions).compactMap { $0.mistake("freeze", among: names) }
    guard mistakes.isEmpty else { throw BLVNetError(.badConfiguration, mistakes.joined(separator: "; ")) }
    guard layout.gradientCount > 0 else {
      throw BLVNetError(.badConfiguration, "freeze: matches every tensor, so that nothing would be trained")
    }
  }

  init(_ model: ModelRecipe, _ structure: Structure, engine: any ConvolutionEngine) {
    recipe = model
    self.structure = structure
    layout = structure.layout
    self.engine = engine
  }

  /// The number format of activations.
  public var precision: Recipe.Precision { engine.precision }
  /// Bytes per activation.
  var elementBytes: Int { precision == .bf16 ? 2 : 4 }

  /// Of the class head.
  public var classes: Int { structure.head.classes }

  /// The other name under which a state dict may hold the tensor `name`, if there is one.
  public func alternativeName(of name: String) -> String? {
    guard let other = structure.head.alternative, name.hasPrefix(structure.head.name + ".") else { return nil }
    return other + name.dropFirst(structure.head.name.count)
  }

  /// Elements of one clip: `groups` frames, [H, W, 3] each.
  public var inputCount: Int { structure.values[0].count }

  /// The initial values that the definition declares. A tensor's numbers depend on the seed and its index in the
  /// layout.
  public func initialParameters(seed: UInt64) -> FloatStorage {
    let storage = FloatStorage(count: layout.parameterCount)
    initialise(parameters: storage, seed: seed)
    return storage
  }

  /// Writes the initial values to `storage`, on all cores of the processor.
  public func initialise(parameters storage: FloatStorage, seed: UInt64) {
    precondition(storage.count == layout.parameterCount, "parameters of another network")
    InitialValues.fill(storage, layout.parameters, seed: seed)
  }

  /// Parameters for a self-test: of each tensor, the first initial values again and again, which takes a hundredth of
  /// the time. A constant 0 becomes 1/8, as it would hide what it is multiplied with.
  public func sampleParameters(seed: UInt64) -> FloatStorage {
    let storage = FloatStorage(count: layout.parameterCount)
    InitialValues.fill(storage, layout.parameters, seed: seed, samples: 4093)
    return storage
  }

  public func initialStatistics() -> FloatStorage {
    let storage = FloatStorage(count: layout.statisticCount)
    initialise(statistics: storage)
    return storage
  }

  public func initialise(statistics storage: FloatStorage) {
    precondition(storage.count == layout.statisticCount, "statistics of another network")
    InitialValues.fill(storage, layout.statistics, seed: 0)
  }
}
