// Changes to the recipe of a run in progress, and which changes are allowed.
import Shared

/// A new value of a key, from a step of the run on.
public struct RecipeRevision: Hashable, Sendable {
  /// The first step that uses the new value.
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

  /// Parses `text`.
  init?(text: String) {
    let words = text.split(separator: " ").map(String.init)
    guard words.count == 7, words[2] == "->", words[4] == "from", words[5] == "step", let step = Int(words[6]),
      step >= 0
    else { return nil }
    self.init(step: step, key: words[0], old: words[1], new: words[3])
  }
}

/// A new number of epochs, from a step on.
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

/// A key whose values differ between two recipes.
public struct RecipeDifference: Hashable, Sendable {
  public var key: String
  public var old: String
  public var new: String
  /// Whether a run may resume with the new value.
  public var isAllowed: Bool
  /// Whether the journal records the change.
  public var isRevision: Bool
}

extension Recipe {
  /// The keys whose values differ from those in `old`, in the order of the YAML.
  public func differences(from old: Recipe) -> [RecipeDifference] {
    Recipe.fields().compactMap { field in
      let (before, now) = (field.write(old), field.write(self))
      let isFixed = old.schedule.followsValidation && Recipe.measures.contains(field.path)
      return before == now
        ? nil
        : RecipeDifference(
          key: field.path, old: before, new: now, isAllowed: field.scope.mayChange && !isFixed,
          isRevision: field.scope.isRevised && !isFixed)
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

  /// The first step that may be one before which the state is evaluated: those before it went by other rules.
  public var firstValidation: Int {
    max(1, revisions.last { $0.key == "validation.every_epochs" }?.step ?? 1)
  }

  /// Whether the state after so many epochs, which is the one before `step`, is evaluated while training goes on.
  public func isValidated(afterEpochs epochs: Int, step: Int) -> Bool {
    validation.everyEpochs > 0 && epochs > 0 && epochs % validation.everyEpochs == 0 && step >= firstValidation
  }

  /// This recipe with `revisions` applied; it may contain some of them already.
  /// - Throws: `SharedError(.badData)` if a revision names an unknown key or an impossible value.
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
