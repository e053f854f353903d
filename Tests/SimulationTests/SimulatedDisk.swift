// What survives every crash: the journal and the checkpoints. The rules are those of `Journal` and `CheckpointStore`.
import CoordinatorCore
import Shared
import Wire

struct SimulatedDisk {
  struct Row {
    var record: CommitRecord
    var consumed: [Int]
    var isRolledBack = false
  }

  struct Violation: Error {
    let text: String
  }

  private(set) var rows: [Row] = []
  /// Places in `rows` of the live steps, by step.
  private var live: [Int] = []
  /// Clips that an epoch has consumed.
  private var consumed: [Int: Set<Int>] = [:]
  private(set) var generations: [Generation] = []
  private(set) var present: Set<WorkerIdentity> = []
  private(set) var directives: [Directive] = []
  private(set) var exclusions: [ClipExclusion] = []
  private(set) var checkpoints: [UInt64: TrainingValue] = [:]
  /// The steps of all checkpoints that were ever there.
  private(set) var everWritten: Set<UInt64> = []
  /// The step of the checkpoint that is marked as the best.
  private(set) var best: UInt64?
  private(set) var evaluations: [(step: UInt64, state: Digest128?, result: EvaluationResult)] = []
  /// When the pause began that the journal knows of, if there is one.
  var pausedAt: Nanoseconds?

  var nextStep: UInt64 { UInt64(live.count) }
  var newestCheckpoint: UInt64? { checkpoints.keys.max() }

  /// The live commit of a step.
  func commit(_ step: UInt64) -> CommitRecord? { step < nextStep ? rows[live[Int(step)]].record : nil }

  /// Steps that were ever written.
  private var stepsHeld: UInt64 { rows.map { $0.record.step + 1 }.max() ?? 0 }

  func requireSteps(_ steps: UInt64, witness: String) throws {
    guard steps <= stepsHeld else {
      throw Violation(text: "the journal ends after \(stepsHeld) steps, but \(witness) has \(steps)")
    }
  }

  mutating func recordCommit(_ record: CommitRecord, consumed lanes: [[Int]], epoch: Int) throws {
    if record.step < nextStep {
      let known = rows[live[Int(record.step)]].record
      guard known.digest == record.digest, known.weights == record.weights else {
        throw Violation(text: "I5: step \(record.step) was committed with two digests")
      }
      return
    }
    guard record.step == nextStep else {
      throw Violation(text: "I3: step \(record.step) is reported, but step \(nextStep) was not")
    }
    guard record.clips > 0 else { throw Violation(text: "I2: step \(record.step) was trained without any clip") }
    let clips = lanes.flatMap(\.self)
    let pairs = lanes.enumerated().map { ClipPairs.digest(step: record.step, lane: $0, clips: $1) }
    guard record.clipPairs == ClipPairs.sum(pairs) else {
      throw Violation(text: "I2: step \(record.step) trained other clips than the ledger's")
    }
    guard record.clips == clips.count else {
      throw Violation(text: "I2: step \(record.step) counts \(record.clips) clips, and its lanes have \(clips.count)")
    }
    for clip in clips where !consumed[epoch, default: []].insert(clip).inserted {
      throw Violation(text: "I2: step \(record.step) consumes clip \(clip) a second time in epoch \(epoch)")
    }
    live.append(rows.count)
    rows.append(Row(record: record, consumed: clips))
  }

  mutating func rollBack(to step: UInt64, epoch: (UInt64) -> Int) throws {
    guard step <= nextStep else {
      throw Violation(text: "the journal holds \(nextStep) steps, and cannot go back to step \(step)")
    }
    for place in live[Int(step)...] {
      rows[place].isRolledBack = true
      for clip in rows[place].consumed { consumed[epoch(rows[place].record.step)]?.remove(clip) }
    }
    live.removeSubrange(Int(step)...)
  }

  mutating func record(_ generation: Generation) throws {
    guard generation.number > generations.last?.number ?? 0 else {
      throw Violation(text: "generation \(generation.number) comes after \(generations.last?.number ?? 0)")
    }
    generations.append(generation)
  }

  mutating func joined(_ worker: WorkerIdentity) { present.insert(worker) }
  mutating func left(_ worker: WorkerIdentity) { present.remove(worker) }
  mutating func record(_ directive: Directive) { directives.append(directive) }
  mutating func record(_ exclusion: ClipExclusion) { exclusions.append(exclusion) }
  mutating func record(_ step: UInt64, _ state: Digest128?, _ result: EvaluationResult) {
    evaluations.append((step, state, result))
  }

  /// The results that count: of states that the live steps lead to.
  var liveEvaluations: [UInt64: ValidationFigures] {
    let live = evaluations.filter { $0.state != nil && $0.state == state(before: $0.step) }
    return Dictionary(
      live.map { ($0.step, ValidationFigures($0.result, of: $0.state)) }, uniquingKeysWith: { first, _ in first })
  }

  /// The digest of the state before a step, as the live steps led to it.
  func state(before step: UInt64) -> Digest128? { step == 0 ? nil : commit(step - 1)?.after }

  mutating func everybodyLeft() { present = [] }

  mutating func write(_ state: TrainingValue) {
    checkpoints[state.step] = state
    everWritten.insert(state.step)
  }

  mutating func prune(keep count: Int, sparing spared: [UInt64]) {
    for old in checkpoints.keys.sorted().dropLast(count) where !spared.contains(old) { checkpoints[old] = nil }
  }

  /// Lets a checkpoint be marked as the best.
  mutating func mark(best step: UInt64) { best = step }

  /// What a coordinator finds that is started again; see `ResumedRun`.
  func past(at now: Nanoseconds, _ training: Training) throws -> Membership.Past {
    let step = newestCheckpoint ?? 0
    try requireSteps(step, witness: "the checkpoint")
    guard nextStep >= step else { throw Violation(text: "the journal lacks steps below the checkpoint of \(step)") }
    var past = Membership.Past()
    past.generation = generations.last
    past.number = generations.last?.number ?? 0
    past.present = present
    let done = past.generation?.directivesDone ?? 0
    past.directives = directives.filter { $0.sequence > done }
    past.next = nextStep
    past.held = stepsHeld
    past.pausedFor = pausedAt.map { .nanoseconds(now - $0) }
    past.state = live.last.map { rows[$0].record.after }
    past.last = live.last.map { StateReport.Last(rows[$0].record) }
    past.checkpoint = newestCheckpoint
    past.exclusions = exclusions
    past.evaluated = liveEvaluations
    for row in evaluations where row.state != past.evaluated[row.step]?.state {
      past.rolledBackEvaluations[row.step] = ValidationFigures(row.result, of: row.state)
    }
    let kept = past.evaluated.filter { checkpoints[$0.key] != nil }
    past.best = ValidationHistory(kept).best?.step
    past.stored = Set(checkpoints.keys)
    for step in training.evaluateBefore where step < nextStep && past.evaluated[step] == nil {
      past.passedStates[step] = state(before: step)
    }
    past.setRolledBack(newest: rows.filter(\.isRolledBack).map(\.record.generation).max() ?? 0)
    return past
  }

  /// The audit at the end: each step once, each clip of each epoch once but for those left out.
  func audit(_ training: Training) -> String? {
    guard nextStep == training.lastStep else { return "I3: \(nextStep) of \(training.lastStep) steps are journaled" }
    for (step, place) in live.enumerated() where rows[place].record.step != step {
      return "I3: step \(rows[place].record.step) stands in the place of \(step)"
    }
    var leftOut: [Int: Int] = [:]
    for exclusion in Set(exclusions) { leftOut[training.epoch(of: exclusion.step), default: 0] += 1 }
    for epoch in 0..<training.epoch(of: training.lastStep) {
      let count = consumed[epoch]?.count ?? 0
      if count + leftOut[epoch, default: 0] != training.clipCount {
        return "I2: epoch \(epoch) consumed \(count) of \(training.clipCount) clips"
      }
    }
    return nil
  }
}
