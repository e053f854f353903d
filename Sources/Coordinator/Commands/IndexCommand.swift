// `coordinator index`: probes the files of the recipe's lists, and shows what the data set is.
import ArgumentParser
import Dataset
import Foundation
import Recipes
import RunJournal
import Shared
import Video

struct IndexCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "index",
    abstract: "Opens every clip once, writes the index and a list of rejected clips with reasons, and sums them up.",
    discussion: "Given again, it opens only files that are new or have changed.")

  @OptionGroup var recipes: RecipeOptions
  @Flag(help: "Decode every frame of every clip.") var deep = false
  @Option(help: "Write a page with the summary and pictures of some clips of each class to this file.")
  var html: String?

  func run() throws {
    let display = ProgressDisplay()
    let given = try recipes.resolve()
    let directory = try RunDirectory(given.directory)
    guard !directory.holdsRun else {
      throw SharedError(.usage, "\(directory.path): holds a run, whose index must not change; give another --run-dir")
    }
    let lock = try RunLock(directory.path)
    defer { withExtendedLifetime(lock) {} }
    let indexes: Indexes
    do {
      if given.needsValidation { try IndexBuilder.requireValidation(given.recipe) }
      indexes = try index(given, directory.index, display, deep: deep)
    } catch {
      directory.removeUnbegun()
      throw error
    }
    for (list, clips, rejected) in [
      ("train", indexes.train.clips.count, indexes.rejectedTrain),
      ("validation", indexes.validation.clips.count, indexes.rejectedValidation),
    ] {
      display.line("\(list): \(clips) clips, \(rejected.count) left out")
      for clip in try rejected.prefix(20) { display.line("  \(clip.id): \(clip.reason)") }
      if rejected.count > 20 { display.line("  … all of them in \(rejected.path)") }
    }
    let report = try IndexReport(indexes)
    display.line("\n\(report.text)")
    if let html {
      let progress = SharedProgress(display)
      let page = IndexPage(report, indexes, given.recipe, decoders: DecodingPool()) { done, total in
        progress.show("taking pictures  \(done)/\(total) clips")
      }
      try page.write(to: html)
      display.clear()
      display.line("\nwritten: \(html)")
    }
  }
}

/// The indexes of a recipe's data: those in the run directory, or new ones.
func prepareIndexes(_ given: GivenRecipe, _ directory: RunDirectory, _ display: ProgressDisplay) throws -> Indexes {
  if given.needsValidation { try IndexBuilder.requireValidation(given.recipe) }
  return try kept(directory.index, given.recipe) ?? index(given, directory.index, display)
}

/// The indexes that are there, if they were made of the recipe's data as it is now.
private func kept(_ folder: IndexFolder, _ recipe: Recipe) throws -> Indexes? {
  let indexes = try folder.indexes(of: recipe)
  try indexes?.require(recipe)
  return indexes
}

/// The indexes for an evaluation, which leaves the index of a run as it is.
func evaluationIndexes(
  _ given: GivenRecipe, _ directory: RunDirectory, _ display: ProgressDisplay
) throws -> Indexes {
  guard directory.holdsRun else { return try prepareIndexes(given, directory, display) }
  if directory.index.isOf(given.recipe), let indexes = try directory.index.indexes() {
    try indexes.require(given.recipe)
    return indexes
  }
  if given.needsValidation { try IndexBuilder.requireValidation(given.recipe) }
  let other = try IndexFolder(directory.otherIndex)
  return try kept(other, given.recipe) ?? index(given, other, display)
}

/// Builds the indexes of a recipe in a folder, with progress on the screen.
func index(
  _ given: GivenRecipe, _ folder: IndexFolder, _ display: ProgressDisplay, deep: Bool = false
) throws -> Indexes {
  let progress = SharedProgress(display)
  var builder = IndexBuilder(recipe: given.recipe, folder: folder, decoders: DecodingPool()) { list, now in
    progress.show(now, of: list)
  }
  builder.settings.deep = deep
  builder.settings.say = { progress.line($0) }
  let indexes: Indexes
  do { indexes = try builder.build() } catch let error as DatasetError { throw given.located(error) }
  display.clear()
  return indexes
}

/// A display that several threads report to.
///
/// Sendable because the lock guards every use of the display.
final class SharedProgress: @unchecked Sendable {
  private let lock = NSLock()
  private let display: ProgressDisplay
  private let start = ContinuousClock.now
  private var list = ""
  private var listStart = ContinuousClock.now

  init(_ display: ProgressDisplay) { self.display = display }

  func show(_ text: String) {
    lock.lock()
    defer { lock.unlock() }
    display.progress(text, at: ContinuousClock.now - start)
  }

  func line(_ text: String) {
    lock.lock()
    defer { lock.unlock() }
    display.line(text)
  }

  /// How far the indexing of a list is, and how fast it goes.
  func show(_ now: FileIndexing.Progress, of list: String) {
    lock.lock()
    defer { lock.unlock() }
    if list != self.list { (self.list, listStart) = (list, ContinuousClock.now) }
    let passed = (ContinuousClock.now - listStart).components
    let seconds = Double(passed.seconds) + Double(passed.attoseconds) * 1e-18
    var text = "indexing \(list)  \(now.done)/\(now.total) clips"
    if seconds > 1 {
      let rate = Double(now.done) / seconds
      text += "  \(Int(rate.rounded()))/s"
      if rate > 0, now.done < now.total { text += "  \(clock(Double(now.total - now.done) / rate)) left" }
    }
    text += "  \(now.rejected) left out"
    if now.unchanged > 0 { text += "  \(now.unchanged) unchanged" }
    display.progress(text, at: ContinuousClock.now - start)
  }
}
