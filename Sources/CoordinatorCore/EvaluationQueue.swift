// Spreads an evaluation over whoever is there, a few clips at a time. Pure.
import Shared
import Wire

/// Every task is done once; a lost worker's task goes to another.
struct EvaluationQueue {
  private var waiting: [EvaluationTask]
  private var assigned: [WorkerIdentity: [EvaluationTask]] = [:]
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

  /// What this worker should do now: its present tasks (again), and new ones up to as many as it works on at once.
  mutating func tasks(for worker: WorkerIdentity, atOnce: Int) -> [EvaluationTask] {
    var tasks = assigned[worker] ?? []
    let room = min(max(1, atOnce) - tasks.count, waiting.count)
    if room > 0 {
      tasks += waiting.prefix(room)
      waiting.removeFirst(room)
    }
    assigned[worker] = tasks.isEmpty ? nil : tasks
    return tasks
  }

  mutating func take(_ task: Int, _ result: EvaluationResult, from worker: WorkerIdentity) {
    guard let place = assigned[worker]?.firstIndex(where: { $0.task == task }),
      let given = assigned[worker]?[place], result.clips + result.failed.count == given.clips.count
    else { return }
    assigned[worker]?.remove(at: place)
    results[task] = result
  }

  func isWorking(_ worker: WorkerIdentity) -> Bool { !(assigned[worker] ?? []).isEmpty }

  mutating func lost(_ worker: WorkerIdentity) {
    guard let tasks = assigned.removeValue(forKey: worker) else { return }
    waiting.insert(contentsOf: tasks, at: 0)
  }
}
