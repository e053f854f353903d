// `coordinator train`: trains, or resumes the run that the run directory holds.
import ArgumentParser
import Checkpoint
import CoordinatorCore
import Dataset
import Foundation
import Recipes
import RunJournal
import Shared

struct TrainCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "train", abstract: "Trains, or resumes the run that the run directory holds.")

  @OptionGroup var cluster: ClusterOptions
  @OptionGroup var recipes: RecipeOptions

  @Option(help: "End training after this many steps in all.")
  var steps: UInt64?

  @Flag(help: "Show where each worker's time goes.")
  var verbose = false

  func validate() throws {
    guard steps != 0 else { throw ValidationError("--steps must be at least 1") }
  }

  func run() throws {
    let display = ProgressDisplay()
    let given = try recipes.resolve()
    let slots = try cluster.slots()
    let (socket, endpoint) = try cluster.bind(display, before: RunDirectory.endpoint(in: given.directory))
    let directory = try RunDirectory(given.directory)
    let lock = try RunLock(directory.path)
    defer { withExtendedLifetime(lock) {} }
    let journal = try Journal(directory.journal, directory.holdsRun ? .resume : .create)
    let resumes = try journal.run() != nil
    let indexes = try resumes ? kept(directory) : prepareIndexes(given, directory, display)
    let recipe = try resumes ? goOn(journal, directory, given, indexes, display) : given.recipe
    var plan = self.plan(recipe, indexes)
    let store = try CheckpointStore(directory.checkpoints, access: .writing)
    if !resumes { try begin(journal, directory, plan) }
    plan.run = try journal.identity(orElse: Self.newIdentity())
    let found = try resumes ? ResumedRun(journal, store, plan, say: display.line) : nil
    try directory.write(Data(endpoint.description.utf8), to: directory.endpoint)
    display.line(summary(plan, directory))
    let fleet = try cluster.fleet(slots, recipe, logs: directory.logs, coordinator: endpoint)
    if cluster.launch == "none" { display.line("waiting for \(fleet.slots.count) workers at \(endpoint)") }
    let loop = try CoordinatorLoop(
      plan, socket: socket, fleet: fleet, display: display, journal: journal, store: store,
      past: found?.past ?? .init(), resumeFrom: found?.checkpoint)
    if verbose { loop.stepLedger = StepLedger() }
    let started = ContinuousClock.now
    let outcome = try loop.run()
    let elapsed = ContinuousClock.now - started
    let place = loop.checkpoints?.newest.map { "\($0.path)" } ?? "none"
    if outcome == .interrupted {
      display.line("interrupted; checkpoint: \(place); the same command goes on from there")
    }
    let result = try outcome.result(checkpoint: place, journal: journal.path)
    if let result {
      for reason in result.failed { display.line("warning: validation clip left out: \(reason)") }
      display.line("validation: \(result.text)")
    }
    display.line("done in \(clock(Double(elapsed.components.seconds))); checkpoint: \(place)")
    try journal.close()
  }

  private func plan(_ recipe: Recipe, _ indexes: Indexes) -> RunPlan {
    var plan = RunPlan(recipe: recipe, indexes: indexes, lastStep: 0)
    let all = UInt64(recipe.schedule.epochs * plan.shards.stepsPerEpoch)
    plan.lastStep = min(all, steps ?? all)
    return plan
  }

  private func summary(_ plan: RunPlan, _ directory: RunDirectory) -> String {
    let indexes = plan.indexes
    func count(_ list: String, _ kind: String, _ clips: Int, _ rejected: Int) -> String {
      "\(clips) \(kind) clips" + (rejected == 0 ? "" : " (\(rejected) left out: \(directory.rejected(list)))")
    }
    return "\(plan.recipe.name): "
      + count("train", "training", indexes.train.clips.count, indexes.rejectedTrain.count) + " and "
      + count("validation", "validation", indexes.validation.clips.count, indexes.rejectedValidation.count)
      + ", \(plan.lastStep) steps of \(plan.recipe.batch.clips) clips; run directory \(directory.path)"
  }

  // MARK: Beginning

  /// A name that no other run has.
  private static func newIdentity() -> String {
    String(UInt64.random(in: 1...UInt64.max), radix: 16) + String(UInt64.random(in: 1...UInt64.max), radix: 16)
  }

  private func begin(_ journal: Journal, _ directory: RunDirectory, _ plan: RunPlan) throws {
    try directory.write(Data(plan.recipe.yaml().utf8), to: directory.recipe)
    let indexes = plan.indexes
    let clips = indexes.train.clips.enumerated().map { number, clip in
      ClipRecord(
        clip: number, id: clip.id, path: clip.path, label: indexes.train.classes[clip.label], bytes: Int(clip.bytes),
        hash: clip.hash.description)
    }
    func records(_ list: String, _ rejected: [RejectedClip]) -> [RejectedRecord] {
      rejected.map { RejectedRecord(list: list, id: $0.id, path: $0.path, reason: $0.reason) }
    }
    try journal.beginRun(
      RunRecord(
        name: plan.recipe.name, seed: plan.recipe.seed,
        recipeDigest: plan.recipe.digest,
        indexDigest: indexes.train.digest.description, fingerprint: "", clips: clips.count,
        stepsPerEpoch: plan.shards.stepsPerEpoch, epochs: plan.recipe.schedule.epochs, createdAt: .now),
      clips: clips,
      rejected: records("train", indexes.rejectedTrain) + records("validation", indexes.rejectedValidation))
  }

  // MARK: Going on

  private func kept(_ directory: RunDirectory) throws -> Indexes {
    guard let indexes = try directory.indexes() else {
      throw SharedError(
        .badData, "\(directory.path): holds a run without its index; restore it or use another --run-dir")
    }
    return indexes
  }

  /// The recipe to resume with. Records its revisions in the journal, and writes it to the run directory.
  private func goOn(
    _ journal: Journal, _ directory: RunDirectory, _ given: GivenRecipe, _ indexes: Indexes, _ display: ProgressDisplay
  ) throws -> Recipe {
    guard let run = try journal.run() else {
      throw SharedError(.badData, "\(journal.path): holds no run; remove the run directory or use another")
    }
    guard run.indexDigest == indexes.train.digest.description else {
      throw SharedError(.badData, "\(journal.path): the index of the clips is not the one that the run was begun with")
    }
    let kept = try ResumedRecipe.kept(in: directory, journal, run, given: given.recipe)
    let resumed = try ResumedRecipe(
      kept, given: try given.over(kept), done: try journal.nextStep(), stepsPerEpoch: run.stepsPerEpoch,
      directory: directory.path)
    if !resumed.revisions.isEmpty { try journal.revise(resumed.revisions, identity: Self.newIdentity(), at: .now) }
    for revision in resumed.revisions {
      display.line("from step \(revision.step) on: \(revision.key) is \(revision.new), was \(revision.old)")
    }
    let text = Data(resumed.recipe.yaml().utf8)
    if FileManager.default.contents(atPath: directory.recipe) != text {
      try directory.write(text, to: directory.recipe)
    }
    return resumed.recipe
  }
}

/// The indexes of a recipe's data: those in the run directory, or new ones.
func prepareIndexes(_ given: GivenRecipe, _ directory: RunDirectory, _ display: ProgressDisplay) throws -> Indexes {
  if given.needsValidation { try IndexBuilder.requireValidation(given.recipe) }
  return try directory.indexes(of: given.recipe) ?? index(given.recipe, directory, display)
}

/// Builds the indexes of a recipe and stores them in its run directory, with progress on the screen.
func index(_ recipe: Recipe, _ directory: RunDirectory, _ display: ProgressDisplay, deep: Bool = false) throws
  -> Indexes
{
  let progress = SharedProgress(display)
  var builder = IndexBuilder(recipe: recipe, deep: deep) { list, done, total, rejected in
    progress.show("indexing \(list)  \(done)/\(total) clips  \(rejected) left out")
  }
  builder.note = display.line
  let indexes = try builder.build()
  display.clear()
  try directory.save(indexes, of: recipe)
  return indexes
}

/// A display that several threads report to.
///
/// Sendable because the lock guards every use of the display.
final class SharedProgress: @unchecked Sendable {
  private let lock = NSLock()
  private let display: ProgressDisplay
  private let start = ContinuousClock.now

  init(_ display: ProgressDisplay) { self.display = display }

  func show(_ text: String) {
    lock.lock()
    defer { lock.unlock() }
    display.progress(text, at: ContinuousClock.now - start)
  }
}
