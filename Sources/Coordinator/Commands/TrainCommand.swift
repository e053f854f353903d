// `coordinator train`: trains, or resumes the run that the run directory holds.
import ArgumentParser
import BLVNet
import Checkpoint
import CoordinatorCore
import Dataset
import Foundation
import Glibc
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
    // Others need not know what is learnt here.
    umask(0o077)
    let directory = try RunDirectory(given.directory)
    let lock = try RunLock(directory.path)
    defer { withExtendedLifetime(lock) {} }
    let journal = try Journal(directory.journal, directory.holdsRun ? .resume : .create)
    let run = try journal.run()
    let hadKeys = directory.keys.exist
    let anew = try run.flatMap { try NewBeginning(journal, directory, $0, given: given) }
    let resumes = run != nil && anew == nil
    var plan: RunPlan
    let store: CheckpointStore
    let entrance: ClusterOptions.Entrance
    do {
      entrance = try cluster.open(
        display, slots, before: RunDirectory.endpoint(in: directory.path), keys: directory.keys)
      if let anew { display.line(anew.line) }
      let start = try resumes ? nil : StartingModel(given.recipe)
      let model = try start?.report() ?? []
      for line in model { display.line(line) }
      let report = [anew?.line].compactMap(\.self) + model
      let indexes = try resumes ? kept(directory) : prepareIndexes(given, directory, display)
      let recipe = try resumes ? goOn(journal, directory, given, indexes, display) : start?.recipe ?? given.recipe
      try requireValidation(recipe, indexes)
      plan = self.plan(recipe, indexes)
      try plan.requireFewScores()
      if let start { try writeFile(start.data, to: directory.initialModel) }
      plan.initialModel = StartingModel.kept(in: directory, recipe)
      store = try CheckpointStore(directory.checkpoints, access: .writing)
      try anew?.tidy(directory, store, plan)
      if !resumes { try begin(journal, directory, plan, anew: anew != nil) }
      for line in report { try journal.record(EventRecord(at: .now, level: .info, source: "coordinator", text: line)) }
    } catch {
      if run == nil {
        try? journal.close()
        // A user may have made them before the run.
        if !hadKeys { directory.keys.remove() }
        directory.removeUnbegun()
      }
      throw error
    }
    plan.run = try journal.identity(orElse: Self.newIdentity())
    try noteHosts(slots, journal, display)
    let found = try resumes ? ResumedRun(journal, store, plan, say: display.line) : nil
    for record in try journal.workerKeys() { entrance.keys?.admit(record) }
    try writeFile(Data(entrance.endpoint.description.utf8), to: directory.endpoint)
    display.line(summary(plan, directory))
    let leftOut = try plan.indexes.leftOut().compactMap { list in
      list.reasons.first.map { "\(list.list) clips left out: \($0.clips) of \(list.clips): \($0.reason)" }
    }
    for line in try leftOut + trained(plan.recipe) { display.line(line) }
    let fleet = try cluster.fleet(slots, plan.recipe, logs: directory.logs, coordinator: entrance.endpoint)
    if cluster.launch == "none" { display.line(cluster.invitation(fleet.slots, entrance, directory.keys)) }
    let loop = try CoordinatorLoop(
      plan, door: entrance.door, keys: entrance.keys, fleet: fleet, display: display, journal: journal, store: store,
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
      display.line("validation: \(result.text(classes: plan.indexes.train.classes.count))")
    }
    display.line("done in \(clock(Double(elapsed.components.seconds))); checkpoint: \(place)")
    try journal.close()
  }

  private func plan(_ recipe: Recipe, _ indexes: Indexes) -> RunPlan {
    var plan = RunPlan(recipe: recipe, indexes: indexes, lastStep: 0)
    plan.lastStep = min(plan.allSteps, steps ?? .max)
    return plan
  }

  /// What follows the validations needs clips to validate with.
  private func requireValidation(_ recipe: Recipe, _ indexes: Indexes) throws {
    guard indexes.validation.clips.isEmpty, recipe.schedule.followsValidation || recipe.validation.stopAfter > 0 else {
      return
    }
    let key = recipe.schedule.followsValidation ? "schedule.plateau_on: validation" : "validation.stop_after"
    throw SharedError(
      .badConfiguration, "'\(key)' needs validation clips, and there are none; see data.validation_list")
  }

  private func summary(_ plan: RunPlan, _ directory: RunDirectory) -> String {
    let indexes = plan.indexes
    func count(_ list: String, _ kind: String, _ clips: Int, _ rejected: Int) -> String {
      "\(clips) \(kind) clips" + (rejected == 0 ? "" : " (\(rejected) left out: \(directory.index.rejected(list)))")
    }
    return "\(plan.recipe.name): "
      + count("train", "training", indexes.train.clips.count, indexes.rejectedTrain.count) + " and "
      + count("validation", "validation", indexes.validation.clips.count, indexes.rejectedValidation.count)
      + ", \(plan.lastStep) steps of \(Self.clips(plan.steps)) clips; run directory \(directory.path)"
  }

  /// What `freeze` leaves to be trained.
  private func trained(_ recipe: Recipe) throws -> [String] {
    let tensors = try Network(recipe.model, engine: .openblas).layout.parameters
    let frozen = tensors.count { $0.isFrozen }
    return frozen == 0 ? [] : ["trained: \(tensors.count - frozen) of \(tensors.count) tensors; the others are frozen"]
  }

  /// Of a full step: a number, or the least and the most.
  private static func clips(_ steps: StepPlan) -> String {
    let counts = Set(steps.laneSizes.keys.map { $0.clipsPerLane * steps.lanes }).sorted()
    return (counts.count > 1 ? counts.prefix(1) + counts.suffix(1) : counts).map(String.init).joined(separator: " to ")
  }

  // MARK: Beginning

  /// A name that no other run has.
  private static func newIdentity() -> String {
    String(UInt64.random(in: 1...UInt64.max), radix: 16) + String(UInt64.random(in: 1...UInt64.max), radix: 16)
  }

  private func begin(_ journal: Journal, _ directory: RunDirectory, _ plan: RunPlan, anew: Bool) throws {
    try writeFile(Data(plan.recipe.yaml().utf8), to: directory.recipe)
    let indexes = plan.indexes
    try journal.beginRun(
      RunRecord(
        name: plan.recipe.name, seed: plan.recipe.seed,
        recipeDigest: plan.recipe.digest,
        indexDigest: indexes.train.digest.description, fingerprint: "", clips: indexes.train.clips.count,
        stepsPerEpoch: plan.steps.lastStepsPerEpoch, epochs: plan.recipe.schedule.epochs, createdAt: .now),
      anew: anew,
      clips: { insert in
        try indexes.train.forEach { number, clip in
          try insert(
            ClipRecord(
              clip: number, id: clip.id, path: clip.path, label: indexes.train.names(of: clip),
              bytes: Int(clamping: clip.bytes), hash: clip.hash.description))
        }
      },
      rejected: { insert in
        for (list, rejected) in [("train", indexes.rejectedTrain), ("validation", indexes.rejectedValidation)] {
          try rejected.forEach { try insert(RejectedRecord(list: list, id: $0.id, path: $0.path, reason: $0.reason)) }
        }
      })
  }

  /// Which hosts take part decides no bit, so a run may go on with others; the journal has them, for people.
  private func noteHosts(_ slots: [Slot], _ journal: Journal, _ display: ProgressDisplay) throws {
    let before = try journal.lastEvent(from: "hosts")?.text
    guard before != slots.hosts else { return }
    try journal.record(EventRecord(at: .now, level: .info, source: "hosts", text: slots.hosts))
    if let before { display.line("from step \(try journal.nextStep()) on: hosts: \(slots.hosts), were \(before)") }
  }

  // MARK: Going on

  private func kept(_ directory: RunDirectory) throws -> Indexes {
    guard let indexes = try directory.index.indexes() else {
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
    try ResumedRun.requireSameClips(run, directory.path)
    for line in ListChanges.lines(indexes, directory.index, given.recipe) { display.line(line) }
    // Where the run's recipe is lost, the given one has to name its model.
    let whole = (try? StartingModel(given.recipe)?.recipe) ?? given.recipe
    let kept = try ResumedRecipe.kept(in: directory, journal, run, given: whole)
    let resumed = try ResumedRecipe(
      kept, given: try StartingModel.resolved(given.over(kept), over: kept), done: try journal.nextStep(),
      steps: kept.steps(clips: run.clips), directory: directory.path)
    if !resumed.revisions.isEmpty { try journal.revise(resumed.revisions, identity: Self.newIdentity(), at: .now) }
    for revision in resumed.revisions {
      display.line("from step \(revision.step) on: \(revision.key) is \(revision.new), was \(revision.old)")
    }
    let text = Data(resumed.recipe.yaml().utf8)
    if FileManager.default.contents(atPath: directory.recipe) != text {
      try writeFile(text, to: directory.recipe)
    }
    return resumed.recipe
  }
}
