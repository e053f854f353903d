// `coordinator status`: where a run is, from its journal, whether it is running or not.
import ArgumentParser
import CoordinatorCore
import Foundation
import Recipes
import RunJournal
import Shared

struct StatusCommand: ParsableCommand {
  static let configuration = CommandConfiguration(commandName: "status", abstract: "Says where a run is.")

  @Argument(help: "The run directory.") var directory: String

  func run() throws {
    // Before the journal is read: where no coordinator runs, the journal is then the last word.
    let holder = RunLock.holder(of: directory)
    let journal = try Journal("\(directory)/run.db", .reading).status()
    guard let run = journal.run else {
      let reason = holder.map { "no run yet: the coordinator (\($0)) is preparing it" } ?? "no run"
      throw SharedError(.badData, "\(directory): holds \(reason)")
    }
    let recipe = try? Recipe(ofRun: "\(directory)/recipe.yaml")
    // Without the recipe, all epochs are taken to be alike.
    let plan = recipe?.steps(clips: max(0, run.clips)) ?? StepPlan(stepsPerEpoch: max(1, run.stepsPerEpoch))
    let status = try RunStatus(journal, run, plan, at: .now)
    let stopsEarly = try recipe.map { status.stopsEarly($0, try journal.validations()) } ?? false
    print("\(run.name): seed \(run.seed), \(run.clips) clips, \(journal.rejectedClips) clips left out")
    print(status.coordinatorLine(holder, stopsEarly: stopsEarly, directory: directory))
    for line in status.lines(rolledBack: journal.rolledBack, lastCommit: journal.lastCommit?.committedAt) {
      print(line)
    }
  }
}

extension RunStatus {
  /// Whether all steps are committed, and the state that they led to is on the disk.
  private var isDone: Bool { step >= lastStep && checkpoint?.step == step }

  /// Whether training has ended before its last step, since the validations found no better model.
  func stopsEarly(_ recipe: Recipe, _ validations: ValidationHistory) -> Bool {
    var rules = EvaluationPlan.Rules()
    rules.stopAfter = recipe.validation.stopAfter
    return EvaluationPlan(recipe.validationPoints(plan), rules, done: validations).endsTraining(at: step)
  }

  /// Whether a coordinator leads the run now, and the command that goes on where none does and something is left to do.
  /// - Parameter holder: the coordinator, if there is one.
  func coordinatorLine(_ holder: String?, stopsEarly: Bool = false, directory: String) -> String {
    if let holder { return "coordinator: running (\(holder))" }
    if isDone { return "coordinator: none; all steps are done" }
    if stopsEarly { return "coordinator: none; training has ended: the last validations found no better model" }
    let command = ["coordinator", "train", "--recipe", "\(directory)/recipe.yaml", "--run-dir", directory]
    return "coordinator: none; to go on: \(shellCommand(command)) --workers HOSTS_FILE"
  }

  /// - Parameters:
  ///   - rolledBack: steps that were committed and rolled back.
  ///   - lastCommit: when the last step was committed.
  func lines(rolledBack: Int, lastCommit: Date?) -> [String] {
    var lines = [
      "steps: \(step) of \(lastStep) (epoch \(epoch + 1) of \(epochs))"
        + (rolledBack > 0 ? ", \(rolledBack) rolled back" : "")
    ]
    if let training, let lastCommit {
      lines.append(
        "last step: loss \(fixed(training.loss, 3)), top-1 \(percent(training.top1, training.clips)), "
          + "at \(lastCommit.formatted(.iso8601))")
    }
    if let generation {
      lines.append(
        "generation \(generation.number): ranks \(generation.ranks.map(String.init).joined(separator: " ")), "
          + "since step \(generation.startStep) (\(generation.reason ?? ""))")
    }
    if case .paused(let seconds, let reason) = phase { lines.append("paused for \(clock(seconds)): \(reason)") }
    if !workers.isEmpty {
      lines.append("workers now: \(workers.map { "\($0.rank) on \($0.host)" }.joined(separator: ", "))")
    } else if !isDone {
      lines.append("workers now: none")
    }
    if exchange.wireBytes > 0 {
      let ratio = fixed(Double(exchange.rawBytes) / Double(exchange.wireBytes), 2)
      lines.append(
        "exchange: \(exchange.wireBytes) bytes on the wire, "
          + (exchange.rawBytes > 0 ? "\(ratio) x compressed" : "sums read in memory")
          + ", \(fixed(exchange.ringSeconds, 1)) s in the ring")
    }
    if let path = checkpoint?.path { lines.append("newest checkpoint: \(path)") }
    if let last = lastEvaluation {
      lines.append("validation at step \(last.step): \(last.result.text(classes: classes))")
    }
    if let best { lines.append("best model: step \(best.step), \(best.result.text(classes: classes))") }
    return lines
  }
}
