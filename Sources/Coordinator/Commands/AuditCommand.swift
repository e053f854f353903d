// `coordinator audit`: checks a run's journal, ledger, index and checkpoints without trusting the code that wrote them.
import ArgumentParser
import Checkpoint
import Foundation
import Recipes
import RunJournal
import Shared

struct AuditCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "audit",
    abstract: "Checks a run's journal, ledger and checkpoints; prints 'ok' or each problem (exit code 1).",
    discussion: "It changes nothing, and may run during training. cluster/audit.py makes the same checks in Python.")

  @Argument(help: "The run directory.") var directory: String

  func run() throws {
    let audit = try RunAudit(directory)
    guard audit.problems.isEmpty else {
      let lines = audit.problems.map { "coordinator: \($0)\n" }.joined()
      FileHandle.standardError.write(Data(lines.utf8))
      throw ExitCode(ExitStatus.failed.rawValue)
    }
    print(audit.summary)
  }
}

/// The journal compared with itself, with the index and with the checkpoints on disk.
struct RunAudit {
  private(set) var problems: [String]
  let summary: String
  private let directory: String
  private let journal: JournalAudit
  private let store: CheckpointAudit
  /// The checkpoints on disk when the journal was read.
  private let onDisk: Set<Int>

  /// - Throws: `JournalError` where there is no run.
  init(_ path: String) throws {
    var directory = path
    while directory.count > 1, directory.last == "/" { directory.removeLast() }
    let store = CheckpointAudit("\(directory)/checkpoints")
    var onDisk: Set<Int> = []
    var index = IndexComparison(directory)
    let recipe = try? Recipe(ofRun: "\(directory)/recipe.yaml")
    let journal = try JournalAudit(
      directory, recipe: recipe, atSnapshot: { onDisk = store.steps() },
      eachClip: { index.take($0) })
    self.directory = directory
    self.store = store
    self.onDisk = onDisk
    self.journal = journal
    problems = journal.problems
    summary =
      "ok: \(journal.steps) steps, \(journal.wholeEpochs) epochs whole, "
      + "\(journal.checkpoints.values.filter(\.isLive).count) checkpoints, \(journal.generations) generations"
    guard journal.isReadable else { return }
    auditRates()
    problems += index.problems(indexDigest: journal.indexDigest)
    auditCheckpoints()
    auditFolders()
  }

  private mutating func report(_ file: String, _ text: String, _ remedy: String) {
    problems.append("\(directory)/\(file): \(text); \(remedy)")
  }

  /// Each step went by the learning rate that recipe and revisions give.
  private mutating func auditRates() {
    guard let recipe = try? Recipe(ofRun: "\(directory)/recipe.yaml") else {
      return report("recipe.yaml", "cannot be read", "restore it from a copy")
    }
    problems += journal.rateProblems(recipe)
  }

  /// Every checkpoint of the journal is there, and every byte is what the manifests say.
  private mutating func auditCheckpoints() {
    let remedy = "remove it and resume the run: an older one is taken, to the same bits"
    let live = journal.checkpoints.values.filter(\.isLive).sorted { $0.step < $1.step }
    // The best one stays, however old it is.
    let oldest = live.map(\.step).filter { onDisk.contains($0) && $0 != store.best() }.min() ?? .max
    for row in live {
      let place = "checkpoints/\(store.name(row.step))"
      switch store.examine(row.step, manifestSha256: row.manifestSha256, bytes: row.bytes) {
      case .whole:
        guard let digest = journal.stateDigests[row.step] else { continue }
        if let problem = store.examineState(row.step, digest: digest) { report(place, problem, remedy) }
      case .missing:
        // A running coordinator prunes first, and records it afterwards.
        if row.step <= oldest, RunLock.isHeld(directory) { continue }
        report(
          place, "is missing, but the journal has it",
          "restore it from a copy, or resume the run, which then forgets it")
      case .damaged(let damage):
        for part in damage { report(part.file.isEmpty ? place : "\(place)/\(part.file)", part.text, remedy) }
      }
    }
  }

  /// Every checkpoint on disk is in the journal.
  private mutating func auditFolders() {
    let live = journal.checkpoints.values.filter(\.isLive).map(\.step)
    let kept = journal.checkpoints.values.filter(\.wasRolledBack).map(\.step)
    var unknown = onDisk.subtracting(live).subtracting(kept).sorted()
    // A running coordinator stores a checkpoint first, and records it afterwards.
    if let last = unknown.last, last > live.max() ?? -1, RunLock.isHeld(directory) { unknown.removeLast() }
    for step in unknown {
      report(
        "checkpoints/\(store.name(step))", "is not in the journal",
        "resume the run, which takes it in if it is whole, or remove it")
    }
  }
}
