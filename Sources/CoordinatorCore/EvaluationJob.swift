// One pass over the validation clips with one state: which worker computes which task, and what came of it. Pure.
// CoordinatorMachine+Evaluation.swift says when there is one, and who may take part.
import Shared
import Wire

/// Distributes the clips over the workers a few at a time. Every task counts once, whoever answers it.
package struct EvaluationJob {
  /// What an answer was worth.
  enum Judgement: Equatable {
    case counted
    /// It came late, or twice, or is of another state.
    case ignored
    case refused(String)
  }

  private struct Assignment {
    var number: Int
    var since: Duration
  }

  /// The state before this step is evaluated.
  package let step: UInt64
  /// The digest of that state; nil where no journal has it.
  package let state: Digest128?
  /// Clips in all.
  package let clips: Int
  private let clipsPerTask: Int
  private let tasks: Int
  /// After so long, a task that was not answered is given to another worker as well.
  private let deadline: Duration
  /// The next task that nobody was given yet, and those whose workers were lost.
  private var next = 0
  private var returned: [Int] = []
  private var assigned: [WorkerIdentity: [Assignment]] = [:]
  private var results: [Int: EvaluationResult] = [:]
  /// Clips that are done, those that could not be decoded included.
  private(set) package var done = 0
  /// Exact sums of the tasks that are done, without the reasons of failures.
  private var sum = EvaluationResult()

  init(step: UInt64, state: Digest128?, clips: Int, clipsPerTask: Int, deadline: Duration) {
    self.step = step
    self.state = state
    self.clips = clips
    self.clipsPerTask = clipsPerTask
    self.deadline = deadline
    tasks = clips / clipsPerTask + (clips % clipsPerTask == 0 ? 0 : 1)
  }

  var isDone: Bool { results.count == tasks }

  /// The counts so far.
  package var counts: EvaluationResult { sum }

  /// The result, with the reasons of all failures in the order of the clips.
  var total: EvaluationResult {
    var total = sum
    total.failed = results.sorted { $0.key < $1.key }.flatMap(\.value.failed)
    return total
  }

  /// Since when the worker has had the oldest of its tasks; nil where it has none.
  func assigned(to worker: WorkerIdentity) -> Duration? { assigned[worker]?.first?.since }

  /// What this worker should do now: its tasks (again), and further ones up to as many as it works on at once.
  mutating func tasks(for worker: WorkerIdentity, atOnce: Int, at now: Duration) -> [EvaluationTask] {
    var own = assigned[worker] ?? []
    while own.count < max(1, atOnce), let number = takeNext(except: own.map(\.number), at: now) {
      own.append(Assignment(number: number, since: now))
    }
    assigned[worker] = own.isEmpty ? nil : own
    return own.map { task($0.number) }
  }

  private func task(_ number: Int) -> EvaluationTask {
    let start = number * clipsPerTask
    return EvaluationTask(
      EvaluationTask.ID(step: step, state: state, number: number),
      clips: Array(start..<min(clips, start + clipsPerTask)))
  }

  private mutating func takeNext(except own: [Int], at now: Duration) -> Int? {
    if let number = returned.popLast() { return number }
    if next < tasks {
      next += 1
      return next - 1
    }
    // Nothing is left but what others have: what they have had for too long.
    var newest: [Int: Duration] = [:]
    for assignment in assigned.values.joined() {
      newest[assignment.number] = max(newest[assignment.number] ?? assignment.since, assignment.since)
    }
    return newest.filter { now - $0.value > deadline && !own.contains($0.key) }.keys.min()
  }

  mutating func take(_ id: EvaluationTask.ID, _ result: EvaluationResult, from worker: WorkerIdentity) -> Judgement {
    guard id.step == step, id.state == state, results[id.number] == nil,
      assigned[worker]?.contains(where: { $0.number == id.number }) == true
    else { return .ignored }
    let given = task(id.number).clips.count
    guard result.clips >= 0, result.clips <= given, result.clips + result.failed.count == given else {
      return .refused("\(result.clips) clips and \(result.failed.count) failures, of \(given) clips")
    }
    guard 0 <= result.top1, result.top1 <= result.top5, result.top5 <= result.clips else {
      return .refused("top-1 \(result.top1) and top-5 \(result.top5), of \(result.clips) clips")
    }
    for holder in assigned.keys {
      assigned[holder]?.removeAll { $0.number == id.number }
      if assigned[holder]?.isEmpty == true { assigned[holder] = nil }
    }
    results[id.number] = result
    done += given
    sum.clips += result.clips
    sum.top1 += result.top1
    sum.top5 += result.top5
    return .counted
  }

  /// The worker's tasks go to others, but for those that another has as well.
  mutating func lost(_ worker: WorkerIdentity) {
    guard let own = assigned.removeValue(forKey: worker) else { return }
    let held = Set(assigned.values.joined().map(\.number))
    returned += own.map(\.number).filter { !held.contains($0) }.reversed()
  }
}
