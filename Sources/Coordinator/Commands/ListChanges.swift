// What has become of the lists since a run began, which goes on with the index that it has.
import Dataset
import Foundation
import Recipes
import Shared

enum ListChanges {
  /// For each list that has changed, a line that says how many rows it has gained and lost. Nothing about it stops a
  /// run.
  /// - Parameter recipe: as it was given; its lists are read only if they are not those that the index was made of.
  static func lines(_ indexes: Indexes, _ folder: IndexFolder, _ recipe: Recipe) -> [String] {
    guard !folder.isOf(recipe) else { return [] }
    let data = recipe.data
    return [
      line(data.trainList, indexes.train, indexes.rejectedTrain, recipe),
      line(data.validationList, indexes.validation, indexes.rejectedValidation, recipe),
    ].compactMap { $0 }
  }

  private static func line(
    _ list: String, _ index: ClipIndex, _ rejected: RejectedList, _ recipe: Recipe
  ) -> String? {
    let path = folderPath(data: recipe.data.path, list)
    guard !list.isEmpty, FileManager.default.fileExists(atPath: path) else { return nil }
    do {
      let ids = try ids(of: path, recipe)
      let change = try Change(ids, index, rejected)
      guard change.gained + change.lost > 0 else { return nil }
      let examples = [
        change.firstGained.map { "the first new one is '\($0)'" }, change.firstLost.map { "'\($0)' is gone" },
      ].compactMap { $0 }.joined(separator: ", ")
      return
        "\(path): has gained \(change.gained) rows and lost \(change.lost) since this run began (\(examples)); the run "
        + "goes on with the clips that it began with; a new --run-dir takes the list as it is"
    } catch {
      return
        "warning: \(path): has changed since this run began, and cannot be read now (\(error)); the run goes on with "
        + "the clips that it began with"
    }
  }

  private static func ids(of path: String, _ recipe: Recipe) throws -> [String] {
    var ids: [String] = []
    try Annotations(contentsOf: path, source: AnnotationFormats.known.named(recipe.data.format)).forEachRow { row in
      switch row {
      case .clip(let clip): ids.append(clip.id)
      // As `ClipCandidates` names them.
      case .unreadable(let row): ids.append("\(row.place)")
      }
    }
    return ids
  }

  /// How the rows of a list differ from those that an index was made of.
  struct Change: Equatable {
    private(set) var gained = 0
    private(set) var lost = 0
    private(set) var firstGained: String?
    private(set) var firstLost: String?

    /// - Parameter ids: of the list's rows.
    init(_ ids: [String], _ index: ClipIndex, _ rejected: RejectedList) throws {
      var leftOut: [String: Bool] = [:]
      try rejected.forEach { leftOut[$0.id] = false }
      var isThere = [Bool](repeating: false, count: index.clips.count)
      for id in ids {
        if let number = index.number(of: id) {
          isThere[number] = true
        } else if leftOut[id] != nil {
          leftOut[id] = true
        } else {
          gained += 1
          firstGained = firstGained ?? id
        }
      }
      let gone = isThere.firstIndex(of: false)
      lost = isThere.count { !$0 } + leftOut.values.count { !$0 }
      firstLost = gone.map { index.clips[$0].id } ?? leftOut.filter { !$0.value }.keys.min()
    }
  }
}
