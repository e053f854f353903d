// One pass over the validation clips with one state: which worker computes which task, and what came of it. Pure.
// CoordinatorMachine+Evaluation.swift says when there is one, and who may take part.
import Shared
import Wire

/// Distributes the clips over the workers a few at a time. Every task counts once, whoever answers it.
package struct EvaluationJob {
  /// What an answer was worth.
  enum Judgement: Equatable {
    case counted
    /// It was the last of those that measure batch norms.
    case measured(MeasuredNorms)
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
  /// When it began.
  package let begun: Duration
  /// Groups of positions in the training index over which batch norms are measured first, a task each.
  private let groups: [[Int]]
  /// How many of them are not measured yet, and what the others came to.
  private var unmeasured: Int
  private var norms = MeasuredNorms()
  /// Positions in the validation index.
  private let positions: [Int]
  private let clipsPerTask: Int
  /// Whether each clip's scores are wanted, one for each of so many classes.
  private let scoredClasses: Int?
  /// The classes of the clip at a position, if the mean average precision is wanted; it is computed from the scores.
  private let classesOfClip: (@Sendable (Int) -> [Int])?
  /// Whether the state is one that the run has passed.
  private let isPassed: Bool
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

  init(
    step: UInt64, state: Digest128?, measuring groups: [[Int]] = [], clips positions: [Int], clipsPerTask: Int,
    scoredClasses: Int? = nil,
    classesOfClip: (@Sendable (Int) -> [Int])? = nil, isPassed: Bool = false, deadline: Duration,
    at now: Duration = .zero
  ) {
    self.isPassed = isPassed
    self.step = step
    self.state = state
    self.groups = groups
    unmeasured = groups.count
    self.positions = positions
    self.clipsPerTask = clipsPerTask
    self.scoredClasses = scoredClasses
    self.classesOfClip = classesOfClip
    self.deadline = deadline
    begun = now
    tasks = groups.count + positions.count / clipsPerTask + (positions.count % clipsPerTask == 0 ? 0 : 1)
  }

  /// Clips in all.
  package var clips: Int { positions.count }

  var isDone: Bool { results.count == tasks }

  /// The counts so far.
  package var counts: EvaluationResult { sum }

  /// The result, with the reasons of all failures, and the scores, in the order of the clips; when all is done.
  var total: EvaluationResult {
    var total = sum
    let results = results.filter { $0.key >= groups.count }.sorted { $0.key < $1.key }
    total.failed = results.flatMap(\.value.failed)
    total.scores = results.flatMap(\.value.scores)
    if let classesOfClip {
      total.meanPrecision = AveragePrecision.mean(
        AveragePrecision.ofClasses(total.scores.map(\.values), total.scores.map { classesOfClip($0.clip) }))
    }
    return total
  }

  /// Why training clips are in no batch norm's statistics.
  var unmeasuredClips: [String] {
    results.filter { $0.key < groups.count }.sorted { $0.key < $1.key }.flatMap(\.value.failed)
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
    let id = EvaluationTask.ID(step: step, state: state, number: number)
    if number < groups.count { return EvaluationTask(id, clips: groups[number], isPassed: isPassed, norms: .measured) }
    let start = (number - groups.count) * clipsPerTask
    return EvaluationTask(
      id, clips: Array(positions[start..<min(clips, start + clipsPerTask)]), wantsScores: scoredClasses != nil,
      isPassed: isPassed, norms: norms.clips > 0 ? .precise : .running)
  }

  private mutating func takeNext(except own: [Int], at now: Duration) -> Int? {
    if let number = returned.popLast() { return number }
    if next < (unmeasured > 0 ? groups.count : tasks) {
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
    let task = task(id.number)
    let (clips, given) = (task.clips, task.clips.count)
    guard result.clips >= 0, result.clips <= given, result.clips + result.failed.count == given else {
      return .refused("\(result.clips) clips and \(result.failed.count) failures, of \(given) clips")
    }
    guard 0 <= result.top1, result.top1 <= result.top5, result.top5 <= result.clips else {
      return .refused("top-1 \(result.top1) and top-5 \(result.top5), of \(result.clips) clips")
    }
    // The first group that has any says how many there are.
    let statistics = norms.clips > 0 ? norms.sums.count : result.moments.count
    guard result.moments.count == (task.norms == .measured && result.clips > 0 ? statistics : 0) else {
      return .refused("\(result.moments.count) statistics of batch norms")
    }
    let scored = result.scores.map(\.clip)
    guard scored.count == (task.wantsScores ? result.clips : 0), scored == clips.filter(scored.contains),
      result.scores.allSatisfy({ $0.values.count == scoredClasses })
    else { return .refused("scores of \(scored.count) clips, of \(result.clips)") }
    for holder in assigned.keys {
      assigned[holder]?.removeAll { $0.number == id.number }
      if assigned[holder]?.isEmpty == true { assigned[holder] = nil }
    }
    results[id.number] = result
    if task.norms == .measured {
      norms.add(result)
      results[id.number]?.moments = []
      unmeasured -= 1
      return unmeasured == 0 ? .measured(norms) : .counted
    }
    done += given
    sum.add(result)
    return .counted
  }

  /// The worker's tasks go to others, but for those that another has as well.
  mutating func lost(_ worker: WorkerIdentity) {
    guard let own = assigned.removeValue(forKey: worker) else { return }
    let held = Set(assigned.values.joined().map(\.number))
    returned += own.map(\.number).filter { !held.contains($0) }.reversed()
  }
}
