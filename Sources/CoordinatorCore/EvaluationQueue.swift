// Spreads an evaluation over whoever is there, a few clips at a time. Pure.
import Shared

/// Every task is done once; a lost worker's task goes to another.
struct EvaluationQueue {
  private var waiting: [EvaluationTask]
  private var assigned: [WorkerIdentity: EvaluationTask] = [:]
  private var results: [Int: EvaluationResult] = [:]
  let tasks: Int

  /// - Parameter clips: how many clips the list has.
  init(clips: Int, clipsPerTask: Int) {
    waiting = stride(from: 0, to: clips, by: clipsPerTask).enumerated().map { number, start in
      EvaluationTask(task: number, clips: Array(start..<min(clips, start + clipsPerTask)))
    }
    tasks = waiting.count
  }

  var isDone: Bool { results.count == tasks }

  /// The sum over all tasks that are done.
  var total: EvaluationResult {
    results.sorted { $0.key < $1.key }.reduce(into: EvaluationResult()) { $0 += $1.value }
  }

  /// What this worker should do now: its present task (again), or a new one.
  mutating func task(for worker: WorkerIdentity) -> EvaluationTask? {
    if let present = assigned[worker] { return present }
    guard !waiting.isEmpty else { return nil }
    let task = waiting.removeFirst()
    assigned[worker] = task
    return task
  }

  mutating func take(_ task: Int, _ result: EvaluationResult, from worker: WorkerIdentity) {
    guard let given = assigned[worker], given.task == task, result.clips + result.failed.count == given.clips.count
    else { return }
    assigned[worker] = nil
    results[task] = result
  }

  mutating func lost(_ worker: WorkerIdentity) {
    guard let task = assigned.removeValue(forKey: worker) else { return }
    waiting.insert(task, at: 0)
  }
}
