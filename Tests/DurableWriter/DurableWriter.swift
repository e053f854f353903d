// A small process that writes what must be durable, for tests that trace it, fail its system calls and kill it.
import Checkpoint
import Foundation
import Glibc
import RunJournal
import Shared

/// - `DurableWriter checkpoint DIRECTORY STEP KEEP`: opens the store, writes the checkpoint of `STEP` and prunes, in
///   the coordinator's order.
/// - `DurableWriter journal RUN.DB FIRST BATCHES`: records batches of three steps; each is tried again once if the
///   journal says that this may help.
///
/// Says "begin" and "end" around what is under test, each with one write to standard output, so that a trace can be
/// cut there. Exits 0, or with the error's code and its one line on standard error.
@main enum DurableWriter {
  static func main() {
    let arguments = CommandLine.arguments
    guard arguments.count == 5, let number = Int(arguments[3]), let count = Int(arguments[4]) else {
      say("usage: DurableWriter checkpoint|journal PATH NUMBER COUNT", to: 2)
      exit(ExitStatus.usage.rawValue)
    }
    do {
      switch arguments[1] {
      case "checkpoint": try saveCheckpoint(arguments[2], step: number, keep: count)
      default: try recordSteps(arguments[2], first: number, batches: count)
      }
    } catch let error as any Failure {
      say("\(error)", to: 2)
      exit(error.status.rawValue)
    } catch {
      say("an error of a foreign type: \(error)", to: 2)
      exit(70)
    }
  }

  private static func saveCheckpoint(_ directory: String, step: Int, keep: Int) throws {
    let files = SampleState.checkpoint(step: step)
    say("begin", to: 1)
    let store = try CheckpointStore(directory, access: .writing)
    try store.write(step, files)
    _ = try store.prune(keep: keep)
    say("end", to: 1)
  }

  private static func recordSteps(_ path: String, first: Int, batches: Int) throws {
    let journal = try Journal(path, .resume)
    say("begin", to: 1)
    for batch in 0..<batches {
      let start = first + 3 * batch
      let commits = (start..<start + 3).map(SampleState.commit)
      do { try journal.recordCommits(commits) } catch let error as JournalError where error.isTransient {
        say("again: \(error)", to: 1)
        try journal.recordCommits(commits)
      }
      say("acknowledged \(start + 3)", to: 1)
    }
    say("end", to: 1)
  }

  /// One system call, so that its place in a trace is known.
  private static func say(_ text: String, to descriptor: Int32) {
    let bytes = Array("\(text)\n".utf8)
    _ = write(descriptor, bytes, bytes.count)
  }
}
