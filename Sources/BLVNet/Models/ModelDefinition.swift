// The protocol that a network implements, and the registry of networks.
import Recipes
import Shared

/// An architecture: it builds the layers in the order of the forward pass. Each layer names its tensors and declares
/// their initial values as it is added; the class head is added last.
protocol ModelDefinition: Sendable {
  /// - Throws: `BLVNetError(.badConfiguration)` that names the key of the recipe at fault.
  func check(_ recipe: ModelRecipe) throws

  /// Adds the input (value 0), the layers and the classifier. Called only with a recipe that passed `check`.
  func build(_ recipe: ModelRecipe, _ builder: inout StructureBuilder)
}

/// What mixes time in a block of a two-dimensional network.
enum TemporalMixing: Sendable {
  case none
  /// The temporal aggregation module (TAM).
  case module
  /// The temporal shift (TSM).
  case shift
}

extension ModelDefinition {
  /// Accepts what the recipe's own rules for the architecture accept.
  func check(_ recipe: ModelRecipe) throws {
    if !recipe.mistakes.isEmpty { throw BLVNetError(.badConfiguration, recipe.mistakes.joined(separator: "; ")) }
  }
}

typealias ModelRegistry = [ModelRecipe.Architecture: any ModelDefinition]

/// The networks that a recipe can name.
enum Models {
  /// By the recipe's `model.architecture`.
  static let all: ModelRegistry = [
    .blvnetTAM: BigLittleNetwork(temporal: .module),
    .blvnet: BigLittleNetwork(temporal: .none),
    .blvnetTSM: BigLittleNetwork(temporal: .shift),
    .tsn: ResNet(temporal: .none),
    .tsm: ResNet(temporal: .shift),
    .tam: ResNet(temporal: .module),
    .i3d: InflatedResNet(),
  ]
}

extension ModelRegistry {
  /// The definition of the recipe's architecture, which accepts this recipe.
  /// - Throws: `BLVNetError(.badConfiguration)` that names the key at fault.
  func definition(of recipe: ModelRecipe) throws -> any ModelDefinition {
    guard let definition = self[recipe.architecture] else {
      throw BLVNetError(
        .badConfiguration,
        "model.architecture is \(recipe.architecture.rawValue); it must be one of "
          + keys.map(\.rawValue).sorted().joined(separator: ", "))
    }
    try definition.check(recipe)
    return definition
  }
}

/// - Throws: `BLVNetError(.badConfiguration)` that names the model's key and the rule it breaks, unless `holds`.
func require(_ holds: Bool, _ key: String, _ value: some Any, _ rule: String) throws {
  guard holds else { throw BLVNetError(.badConfiguration, "model.\(key) is \(value); it must be \(rule)") }
}
