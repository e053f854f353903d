// What the last steps were like: sums over the present epoch, and the pace of the last fifty steps. Pure.
import Shared

/// What a step came to: its clips, how many of them are right, and their mean loss.
package struct StepFigures: Equatable, Sendable {
  package var clips: Int
  package var top1: Int
  package var loss: Double

  package init(clips: Int, top1: Int, loss: Double) { (self.clips, self.top1, self.loss) = (clips, top1, loss) }
}

struct StepHistory {
  private static let window = 50

  private let plan: StepPlan
  /// Of the steps from `first` on: a rollback may reach back to the newest checkpoint, and into the epoch that it is
  /// in.
  private var figures: [StepFigures]
  private var first: Int
  /// Sums over these steps, which are those of the present epoch.
  private var summed = 0..<0
  private var clips = 0
  private var top1 = 0
  private var loss = 0.0
  private var learningRate = 0.0
  private var recent: [(time: Duration, clips: Int)] = []
  private(set) var last: RunStatus.Exchange?
  private(set) var exchange = RunStatus.Exchange()

  /// - Parameter past: what the steps from `first` on came to that an earlier coordinator has journaled.
  init(_ plan: StepPlan, past: [StepFigures] = [], from first: Int = 0) {
    self.plan = plan
    (figures, self.first) = (past, first)
  }

  mutating func add(_ step: CommittedStep, at now: Duration) {
    let record = step.record
    count(StepFigures(clips: record.clips, top1: record.top1, loss: record.loss), of: Int(clamping: record.step))
    learningRate = record.learningRate
    recent.append((now, record.clips))
    if recent.count > Self.window { recent.removeFirst() }
    let bytes = RunStatus.Exchange(
      rawBytes: step.rawBytes, wireBytes: step.wireBytes, ringSeconds: step.slowest(\.ring))
    last = bytes
    exchange += bytes
  }

  private mutating func count(_ step: StepFigures, of number: Int) {
    if !(first...first + figures.count).contains(number) { (figures, first) = ([], number) }
    // A step that is computed again takes the place of what it was, and of all after it.
    figures.removeSubrange((number - first)...)
    let start = max(first, plan.firstStep(ofEpoch: plan.epoch(of: number)))
    if summed != start..<number {
      (clips, top1, loss) = (0, 0, 0)
      figures[(start - first)...].forEach { sum($0) }
    }
    figures.append(step)
    sum(step)
    summed = start..<number + 1
  }

  private mutating func sum(_ step: StepFigures) {
    clips += step.clips
    top1 += step.top1
    loss += step.loss * Double(step.clips)
  }

  /// Nothing is rolled back to before this step any more.
  mutating func wroteCheckpoint(_ step: UInt64) {
    let unneeded = plan.firstStep(ofEpoch: plan.epoch(of: step)) - first
    guard unneeded > 0, unneeded <= figures.count else { return }
    figures.removeFirst(unneeded)
    first += unneeded
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
