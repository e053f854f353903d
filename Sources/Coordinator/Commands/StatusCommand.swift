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
    let journal = try Journal("\(directory)/run.db", .reading).status()
    guard let run = journal.run else { throw SharedError(.badData, "\(directory): holds no run") }
    let status = try RunStatus(journal, run, plan(run), at: .now)
    print("\(run.name): seed \(run.seed), \(run.clips) clips, \(journal.rejectedClips) clips left out")
    for line in status.lines(rolledBack: journal.rolledBack, lastCommit: journal.lastCommit?.committedAt) {
      print(line)
    }
  }

  /// How the run's steps are cut into epochs. Without its recipe, all epochs are taken to be alike.
  private func plan(_ run: RunRecord) -> StepPlan {
    let recipe = try? Recipe(ofRun: "\(directory)/recipe.yaml")
    return recipe?.steps(clips: max(0, run.clips)) ?? StepPlan(stepsPerEpoch: max(1, run.stepsPerEpoch))
  }
}

extension RunStatus {
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
    lines.append("workers now: \(workers.map { "\($0.rank) on \($0.host)" }.joined(separator: ", "))")
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
