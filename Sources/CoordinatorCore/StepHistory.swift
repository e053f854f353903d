// What the last steps were like: sums over the present epoch, and the pace of the last fifty steps. Pure.
import Shared

struct StepHistory {
  private static let window = 50

  private let plan: StepPlan
  private var epoch = 0
  private var clips = 0
  private var top1 = 0
  private var loss = 0.0
  private var learningRate = 0.0
  private var recent: [(time: Duration, clips: Int)] = []
  private(set) var last: RunStatus.Exchange?
  private(set) var exchange = RunStatus.Exchange()

  init(_ plan: StepPlan) { self.plan = plan }

  mutating func add(_ step: CommittedStep, at now: Duration) {
    let record = step.record
    if plan.epoch(of: record.step) != epoch {
      epoch = plan.epoch(of: record.step)
      (clips, top1, loss) = (0, 0, 0)
    }
    clips += record.clips
    top1 += record.top1
    loss += record.loss * Double(record.clips)
    learningRate = record.learningRate
    recent.append((now, record.clips))
    if recent.count > Self.window { recent.removeFirst() }
    let bytes = RunStatus.Exchange(
      rawBytes: step.rawBytes, wireBytes: step.wireBytes, ringSeconds: step.slowest(\.ring))
    last = bytes
    exchange += bytes
  }

  /// Nil before the first step.
  var training: RunStatus.Training? {
    guard let first = recent.first, let newest = recent.last else { return nil }
    let seconds = (newest.time - first.time) / .seconds(1)
    let clipsSince = recent.dropFirst().reduce(0) { $0 + $1.clips }
    var training = RunStatus.Training()
    training.clips = clips
    training.top1 = top1
    training.loss = loss / Double(max(1, clips))
    training.learningRate = learningRate
    training.clipsPerSecond = seconds > 0 ? Double(clipsSince) / seconds : 0
    training.secondsPerStep = recent.count > 1 ? seconds / Double(recent.count - 1) : 0
    return training
  }
}
