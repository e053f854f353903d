// What was changed in the recipe of a run that had begun, and what of a recipe may be changed.
import Shared

/// Another value of a key, from a step of the run on.
public struct RecipeRevision: Hashable, Sendable {
  /// The first step that goes by the new value.
  public var step: Int
  /// `section.key`.
  public var key: String
  /// The values as the recipe writes them.
  public var old: String
  public var new: String

  public init(step: Int, key: String, old: String, new: String) {
    self.step = step
    self.key = key
    self.old = old
    self.new = new
  }

  /// `KEY OLD -> NEW from step STEP`, as a recipe's `revisions` list it.
  var text: String { "\(key) \(old) -> \(new) from step \(step)" }

  /// Reads what `text` wrote.
  init?(text: String) {
    let words = text.split(separator: " ").map(String.init)
    guard words.count == 7, words[2] == "->", words[4] == "from", words[5] == "step", let step = Int(words[6]),
      step >= 0
    else { return nil }
    self.init(step: step, key: words[0], old: words[1], new: words[3])
  }
}

/// Another number of epochs, from a step on.
public struct EpochRevision: Hashable, Sendable {
  /// The first step to which the new number applies.
  public var step: Int
  public var old: Int
  public var new: Int

  public init(step: Int, old: Int, new: Int) {
    self.step = step
    self.old = old
    self.new = new
  }
}

/// A key that two recipes give different values.
public struct RecipeDifference: Hashable, Sendable {
  public var key: String
  public var old: String
  public var new: String
  /// Whether a run may go on with the new value.
  public var isAllowed: Bool
  /// Whether the journal keeps the change.
  public var isRevision: Bool
}

extension Recipe {
  /// The keys that have another value here than in `old`, in the order in which they are written.
  public func differences(from old: Recipe) -> [RecipeDifference] {
    Recipe.fields().compactMap { field in
      let (before, now) = (field.write(old), field.write(self))
      return before == now
        ? nil
        : RecipeDifference(
          key: field.path, old: before, new: now, isAllowed: field.scope.mayChange, isRevision: field.scope.isRevised)
    }
  }

  /// The changes of `schedule.epochs`, oldest first.
  public var epochRevisions: [EpochRevision] {
    revisions.filter { $0.key == "schedule.epochs" }.compactMap { revision in
      let possible = 1...1_000_000
      guard let old = Int(revision.old), let new = Int(revision.new), possible.contains(old), possible.contains(new)
      else { return nil }
      return EpochRevision(step: revision.step, old: old, new: new)
    }
  }

  /// This recipe with the values that `revisions` gave it, whether it has some of them already or none.
  /// - Throws: `SharedError(.badData)` where one names no key, or a value that the key cannot have.
  public func revised(by revisions: [RecipeRevision]) throws -> Recipe {
    var recipe = self
    recipe.revisions = revisions
    let fields = Recipe.fields()
    for revision in revisions {
      guard let field = fields.first(where: { $0.path == revision.key && $0.scope.isRevised }),
        field.read(&recipe, revision.new) == nil
      else { throw SharedError(.badData, "the revision '\(revision.text)' fits no key of a recipe") }
    }
    return recipe
  }
}
