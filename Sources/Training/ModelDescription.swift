// What a model.safetensors says of its network: enough to use it without its run.
import Foundation
import Recipes
import Shared

/// The network of a model file, how its clips are sampled, and the names of its classes.
///
/// It is a function of the recipe at the run's beginning and of the class list, so all ranks write the same bytes.
public struct ModelDescription: Sendable {
  /// With the keys that evaluation needs; all others have their defaults.
  public let recipe: Recipe
  /// By class number; empty if they are not known.
  public let classes: [String]

  private static let (recipeKey, classesKey) = ("tamring_recipe", "tamring_classes")

  public init(_ recipe: Recipe, classes: [String]) {
    self.recipe = recipe
    self.classes = classes
  }

  /// The keys that decide which tensors a network has, and of which shapes; the classes are a matter of the head alone.
  private static let shapes: Set = [
    "model.architecture", "model.depth", "model.width", "model.alpha", "model.beta", "model.blending_frames",
  ]

  /// How the model differs from a recipe's, in the words of the recipe; nil where it does not.
  /// - Parameter others: keys that count besides those of the tensors' shapes.
  func difference(from given: Recipe, others: Set<String> = []) -> String? {
    let found = recipe.differences(from: given).filter { Self.shapes.union(others).contains($0.key) }
    return found.isEmpty
      ? nil : found.map { "its \($0.key) is \($0.new), the recipe says \($0.old)" }.joined(separator: "; ")
  }

  /// Reads what a file says.
  /// - Parameter origin: the file's name in errors.
  /// - Returns: nil for a file that says nothing, as those of older versions and of other programs.
  /// - Throws: `SharedError` if it says what cannot be.
  public init?(_ file: SafeTensors, origin: String) throws {
    guard let text = file.metadata[Self.recipeKey] else { return nil }
    recipe = try Recipe(yaml: text, origin: "\(origin): its recipe")
    classes = try Self.classes(file, origin: origin)
  }

  /// The names of the classes in a file's metadata; empty if there are none.
  static func classes(_ file: SafeTensors, origin: String) throws -> [String] {
    guard let text = file.metadata[classesKey] else { return [] }
    guard let names = try? JSONDecoder().decode([String].self, from: Data(text.utf8)) else {
      throw SharedError(.badData, "\(origin): its metadata '\(classesKey)' is no list of names; use another checkpoint")
    }
    return names
  }

  /// The metadata of a model file.
  public var metadata: [String: String] {
    let encoder = JSONEncoder()
    encoder.outputFormatting = .withoutEscapingSlashes
    // A list of strings can always be written.
    let names = (try? encoder.encode(classes)).map { String(decoding: $0, as: UTF8.self) } ?? "[]"
    return [Self.recipeKey: recipe.evaluationYAML, Self.classesKey: names]
  }
}
