// Where a run is that is not led from here: all that its journal tells.
import CoordinatorCore
import Foundation
import RunJournal
import Shared
import Wire

/// - Throws: `SharedError` where a row holds what cannot be.
private func number<Value: FixedWidthInteger>(_ row: Int, _ column: String) throws -> Value {
  guard let value = Value(exactly: row) else { throw SharedError(.badData, "run.db: \(column) is \(row)") }
  return value
}

extension JournalStatus {
  /// The results of the states that the live steps lead to.
  /// - Throws: `SharedError` where a row holds what cannot be.
  func validations() throws -> ValidationHistory {
    let rows = try evaluations.map { (try number($0.step, "evaluations.step") as UInt64, ValidationFigures($0)) }
    return ValidationHistory(Dictionary(rows, uniquingKeysWith: { first, _ in first }))
  }
}

extension RunStatus {
  /// - Parameters:
  ///   - plan: of the run's steps.
  ///   - now: ages are counted up to it.
  /// - Throws: `SharedError` where a row holds what cannot be.
  init(_ journal: JournalStatus, _ run: RunRecord, _ plan: StepPlan, at now: Date) throws {
    func age(_ time: Date) -> Double { max(0, now.timeIntervalSince(time)) }
    self.init(run: run.identity)
    step = try number(journal.steps, "steps.step")
    self.plan = plan
    lastStep = try number(plan.firstStep(ofEpoch: journal.epochs), "runs.epochs")
    if let last = journal.lastCommit {
      var shown = Training()
      (shown.clips, shown.top1, shown.loss) = (last.clips, last.top1, last.loss)
      shown.learningRate = last.learningRate
      training = shown
      lastExchange = Exchange(
        rawBytes: try number(last.rawBytes, "steps.raw_bytes"),
        wireBytes: try number(last.wireBytes, "steps.wire_bytes"),
        ringSeconds: last.ringSeconds)
    }
    exchange = Exchange(
      rawBytes: try number(journal.rawBytes, "steps.raw_bytes"),
      wireBytes: try number(journal.wireBytes, "steps.wire_bytes"),
      ringSeconds: journal.ringSeconds)
    generation = try journal.lastGeneration.map {
      Ring(
        number: try number($0.number, "generations.number"),
        startStep: try number($0.startStep, "generations.start_step"),
        ranks: $0.ring, reason: $0.reason)
    }
    workers = journal.presentMembers.map { member in
      var worker = Worker(rank: member.rank, incarnation: UInt64(member.incarnation) ?? 0, host: member.host)
      worker.lanes = journal.lastGeneration?.lanes["\(member.rank)"] ?? []
      worker.isMember = journal.lastGeneration?.ring.contains(member.rank) ?? false
      return worker
    }
    checkpoint = try journal.newestCheckpoint.map {
      Checkpoint(step: try number($0.step, "checkpoints.step"), path: $0.path, age: age($0.createdAt))
    }
    exclusions = journal.exclusions
    classes = journal.classes
    func shown(_ step: UInt64, _ figures: ValidationFigures) -> Evaluation {
      Evaluation(step: step, done: figures.clips, clips: figures.clips, result: figures.result)
    }
    lastEvaluation = try journal.lastEvaluation.map {
      shown(try number($0.step, "evaluations.step"), ValidationFigures($0))
    }
    best = try journal.validations().best.map { shown($0.step, $0.figures) }
    if let pause = journal.pause { phase = .paused(seconds: age(pause.startedAt), reason: pause.reason) }
    lastWarning = journal.lastWarning.map {
      Warning(level: $0.level == .error ? .error : .warning, text: $0.text, age: age($0.at))
    }
  }
}

extension ValidationFigures {
  init(_ row: EvaluationRecord) {
    self.init(
      clips: row.clips, top1: row.top1, top5: row.top5, loss: row.lossSum.map { Int64($0) },
      meanPrecision: row.meanPrecision.map { Int64($0) },
      state: Digest128(hex: row.stateDigest))
  }
}
