// The threads that compute: each owns the memory of one lane, has helpers of its own where that is wanted, and takes
// jobs from a common queue.
import BLVNet
import Foundation
import Recipes
import Ring
import Shared
import Synchronization
import Training
import Video
import Wire

/// How many threads compute.
struct ComputeThreads: Sendable {
  /// Lanes that are computed at once.
  var lanes = 1
  /// Threads that share each of them.
  var each = 1

  var all: Int { lanes * each }
}

/// One lane of one attempt of a step.
struct LaneTask: Sendable {
  let step: UInt64
  let attempt: UInt8
  let lane: Int
  /// What the gradients are quantised with.
  let scales: GradientAccumulator.Attempt
  /// Jobs of an earlier round are cancelled.
  let round: UInt64
}

/// Where a lane's time went, in seconds.
struct LaneTimes: Sendable {
  var decodeWait = 0.0
  var forward = 0.0
  var backward = 0.0
  var quantise = 0.0
}

/// The outcome of a job.
enum LaneEvent: Sendable {
  /// `clips` are those that were trained.
  case finished(LaneTask, LaneTimes, clips: [Int])
  /// `clip` is the one that could not be decoded, if that was the cause.
  case failed(LaneTask, text: String, clip: Int?)
  case evaluated(EvaluationTask.ID, EvaluationResult)
  /// - Parameter dataLost: why no clip can be read, if so.
  case tested(SelfTest, dataLost: String?)
}

/// Computes lanes and evaluation tasks. `events` has what came of them; `wake` says that there is something.
final class LanePool: Sendable {
  private enum Job: Sendable {
    case lane(LaneTask)
    case evaluation(EvaluationTask, EvaluatedModel)
    case selfTest
  }

  private struct Cancelled: Error {}

  /// Views of validation clips that each thread has decoded ahead.
  private static let viewsAhead = 2

  private let context: RunContext
  private let threads: ComputeThreads
  private let accumulator: GradientAccumulator
  private let parameters: FloatStorage
  private let statistics: FloatStorage
  private let feed: ClipFeed
  private let wake: @Sendable () -> Void
  private let condition = NSCondition()
  private let queue = Mutex<[Job]>([])
  private let busy = Atomic<Int>(0)
  private let round = Atomic<UInt64>(0)
  /// Lanes that wait for their clips.
  private let waiting = Atomic<Int>(0)
  private let steps = Atomic<UInt64>(0)
  private let outcome = Mutex<[LaneEvent]>([])
  private let loader: ClipLoader

  init(
    _ context: RunContext, threads: ComputeThreads, accumulator: GradientAccumulator, parameters: FloatStorage,
    statistics: FloatStorage, feed: ClipFeed, wake: @escaping @Sendable () -> Void
  ) {
    self.context = context
    loader = context.makeLoader()
    self.threads = threads
    self.accumulator = accumulator
    self.parameters = parameters
    self.statistics = statistics
    self.feed = feed
    self.wake = wake
    for number in 0..<threads.lanes {
      startThread(named: "lane \(number)") { self.work() }
    }
  }

  /// What happened since the last call.
  func events() -> [LaneEvent] {
    outcome.withLock { list in
      defer { list = [] }
      return list
    }
  }

  /// Tensors whose gradients lanes have added, and clips that were evaluated.
  var tensors: UInt64 { steps.load(ordering: .relaxed) }

  /// Grows as long as anything is read or decoded.
  var read: UInt64 { feed.progress &+ loader.progress.count }

  /// Whether a lane waits for its clips.
  var isAwaitingClips: Bool { waiting.load(ordering: .relaxed) > 0 }

  /// Threads that have nothing to do.
  var idle: Int {
    max(0, threads.lanes - busy.load(ordering: .relaxed) - queue.withLock { $0.count }) * threads.each
  }

  var currentRound: UInt64 { round.load(ordering: .acquiring) }

  func submit(_ job: LaneTask) { enqueue(.lane(job)) }

  func submitSelfTest() { enqueue(.selfTest) }

  func submit(_ task: EvaluationTask, _ model: EvaluatedModel) { enqueue(.evaluation(task, model)) }

  /// Cancels everything that is queued or runs; returns when no thread touches weights or sums any more.
  func cancelAll() {
    round.add(1, ordering: .acquiringAndReleasing)
    queue.withLock { $0 = [] }
    // A lane may wait for a read that never returns.
    feed.release()
    condition.lock()
    while busy.load(ordering: .acquiring) > 0 { condition.wait() }
    condition.unlock()
    _ = events()
  }

  private func enqueue(_ job: Job) {
    condition.lock()
    queue.withLock { $0.append(job) }
    condition.broadcast()
    condition.unlock()
  }

  private func work() {
    let lanes = context.makeLanes(threads: threads.each)
    while true {
      condition.lock()
      var next: Job?
      while next == nil {
        next = queue.withLock { $0.isEmpty ? nil : $0.removeFirst() }
        if next == nil { condition.wait() }
      }
      busy.add(1, ordering: .acquiringAndReleasing)
      condition.unlock()
      if let next { perform(next, on: lanes) }
      condition.lock()
      busy.subtract(1, ordering: .acquiringAndReleasing)
      condition.broadcast()
      condition.unlock()
      wake()
    }
  }

  /// - Parameter lanes: this thread's, by the shape of their clips.
  private func perform(_ job: Job, on lanes: [ClipShape: Lane]) {
    let event: LaneEvent
    func lane(_ shape: ClipShape) -> Lane {
      guard let lane = lanes[shape] else { preconditionFailure("no lane for clips of \(shape)") }
      return lane
    }
    switch job {
    case .lane(let job):
      do {
        let (times, clips) = try train(job, on: lane(context.steps.grid(of: job.step).shape))
        event = .finished(job, times, clips: clips)
      } catch is Cancelled { return } catch {
        event = .failed(job, text: "\(error)", clip: (error as? VideoError)?.clip)
      }
    case .evaluation(let task, let model) where task.norms == .measured:
      guard let result = measure(task, on: lane(context.recipe.model.clipShape), model) else { return }
      event = .evaluated(task.id, result)
    case .evaluation(let task, let model):
      guard let result = evaluate(task, on: lane(context.recipe.model.clipShape), model) else { return }
      event = .evaluated(task.id, result)
    case .selfTest:
      let (test, dataLost) = LaneSelfTest.run(context, on: lanes, loader)
      event = .tested(test, dataLost: dataLost)
    }
    outcome.withLock { $0.append(event) }
  }

  /// - Returns: where the time went, and the clips that were trained.
  private func train(_ job: LaneTask, on lane: Lane) throws -> (LaneTimes, clips: [Int]) {
    guard job.round == currentRound else { throw Cancelled() }
    let start = ContinuousClock.now
    let taken = awaitClips { try feed.take(step: job.step, lane: job.lane) { job.round == currentRound } }
    let batch = try taken.get()
    guard let batch else { throw Cancelled() }
    defer { feed.recycle(batch) }
    var times = LaneTimes()
    var mark = ContinuousClock.now
    times.decodeWait = (mark - start).seconds
    /// Seconds since the last call.
    func lap() -> Double {
      let before = mark
      mark = .now
      return (mark - before).seconds
    }
    let targets = context.mix(batch, step: job.step, lane: job.lane, share: lane.share)
    let result = try unsafe lane.train(
      parameters: parameters, statistics: statistics, input: batch.storage, targets: targets,
      loss: context.loss, dropout: DropoutKey(seed: context.recipe.seed, step: job.step, lane: job.lane)
    ) { tensor, gradient in
      // The first gradient is there as soon as the forward pass is done.
      if times.forward == 0 { times.forward = lap() } else { times.backward += lap() }
      guard job.round == currentRound else { throw Cancelled() }
      steps.add(1, ordering: .relaxed)
      let completes = unsafe accumulator.add(
        tensor: tensor, lane: job.lane, gradient: gradient, in: job.scales, sharing: lane.share)
      if completes { wake() }
      times.quantise += lap()
    }
    let entries = LaneStatistics.entries(
      result, clips: batch.clips.count, lanes: context.recipe.batch.lanes, isWeighted: context.loss.weighsClips)
    accumulator.addStatistics(entries, at: 0, lane: job.lane)
    times.backward += lap()
    return (times, batch.clips)
  }

  // MARK: Evaluation

  /// The next views are decoded while the present one is computed.
  /// - Returns: nil if the task was cancelled.
  private func evaluate(
    _ task: EvaluationTask, on lane: Lane, _ model: EvaluatedModel
  ) -> EvaluationResult? {
    let round = currentRound
    let views = self.views()
    let coming = task.clips.flatMap { clip in views.indices.map { (clip: clip, view: $0) } }
    func prefetch(_ place: Int) {
      guard coming.indices.contains(place) else { return }
      feed.prefetch(validation: coming[place].clip, number: coming[place].view, views[coming[place].view])
    }
    for place in 0..<Self.viewsAhead { prefetch(place) }
    var result = EvaluationResult()
    for (number, clip) in task.clips.enumerated() {
      var sum = [Float](repeating: 0, count: context.recipe.model.classes)
      do {
        for view in views.indices {
          prefetch(number * views.count + view + Self.viewsAhead)
          let taken = awaitClips {
            try feed.take(validation: clip, number: view, views[view]) { round == currentRound }
          }
          guard let batch = try taken.get() else { return nil }
          defer { feed.recycle(batch) }
          let logits = lane.evaluate(
            parameters: model.parameters, statistics: model.statistics, input: batch.storage, clips: 1)
          for i in sum.indices { sum[i] += logits[i] }
        }
      } catch {
        result.failed.append("\(error)")
        continue
      }
      let scores = sum.map { $0 / Float(views.count) }
      result.add(clip: scores, labels: context.validation.clips[clip].labels, context.recipe.loss.kind)
      if task.wantsScores { result.scores.append(ClipScores(clip: clip, values: scores)) }
      steps.add(1, ordering: .relaxed)
    }
    return result
  }

  /// The batch norms' statistics of a task's training clips, as one batch. Clips that cannot be decoded are left out.
  /// - Returns: nil if the task was cancelled.
  private func measure(_ task: EvaluationTask, on lane: Lane, _ model: EvaluatedModel) -> EvaluationResult? {
    let round = currentRound
    var clips = task.clips
    var result = EvaluationResult()
    while !clips.isEmpty {
      do {
        let taken = awaitClips { try feed.take(measured: clips, number: task.id.number) { round == currentRound } }
        guard let batch = try taken.get() else { return nil }
        defer { feed.recycle(batch) }
        let moments = lane.batchStatistics(
          parameters: model.parameters, statistics: model.statistics, input: batch.storage, clips: clips.count)
        let most = context.recipe.validation.preciseNorm / context.recipe.batch.clipsPerLane + 1
        guard
          let sums = PreciseNorms.sums(moments, context.network.layout, clips: clips.count, groups: most)
        else { throw SharedError(.badData, "its batch norms' statistics are not finite") }
        (result.clips, result.moments) = (clips.count, sums)
        steps.add(1, ordering: .relaxed)
        return result
      } catch {
        let bad = (error as? VideoError)?.clip
        result.failed += clips.filter { bad == nil || $0 == bad }.map { _ in "\(error)" }
        clips = bad.map { bad in clips.filter { $0 != bad } } ?? []
      }
    }
    return result
  }

  /// Counts this thread as waiting for clips while `take` runs.
  private func awaitClips(_ take: () throws -> LaneBatch?) -> Result<LaneBatch?, any Error> {
    waiting.add(1, ordering: .relaxed)
    defer { waiting.subtract(1, ordering: .relaxed) }
    return Result { try take() }
  }

  private func views() -> [ClipView] {
    let data = context.recipe.data
    return (0..<data.evaluationClips).flatMap { clip in
      (0..<data.evaluationCrops).map { crop in
        ClipView(clip: clip, clips: data.evaluationClips, crop: crop, crops: data.evaluationCrops)
      }
    }
  }
}

extension EvaluationResult {
  /// Adds a clip that could be decoded.
  /// - Parameter scores: the logits, means over its views. Where one is not a number, no class is ranked.
  mutating func add(clip scores: [Float], labels: [Int], _ kind: LossRecipe.Kind) {
    let place = rank(ofAny: labels, in: scores)
    let loss =
      0x1p32
      * (kind == .softmax ? crossEntropy(of: labels[0], in: scores) : binaryCrossEntropy(of: labels, in: scores))
    var sums = EvaluationResult()
    sums.clips = 1
    sums.top1 = place == 0 ? 1 : 0
    sums.top5 = place.map { $0 < 5 } ?? false ? 1 : 0
    let isFinite = loss < Double(Self.largestLoss)
    sums.loss = isFinite ? max(0, Int64(loss.rounded(.toNearestOrEven))) : Self.largestLoss
    add(sums)
  }
}

extension Duration {
  /// The duration in seconds.
  var seconds: Double { Double(components.seconds) + Double(components.attoseconds) * 1e-18 }
}
