// What a person sees while the coordinator works: one living line on a terminal, plain lines elsewhere.
import CoordinatorCore
import Foundation
import Shared

/// Writes progress to standard output.
final class ProgressDisplay {
  private let isTerminal = isatty(STDOUT_FILENO) != 0
  private var livingLength = 0
  private var lastLiving: Duration = .seconds(-1000)
  private var lastPlain: Duration = .seconds(-1000)

  /// A line that stays.
  func line(_ text: String) {
    clear()
    write(text + "\n")
  }

  /// A line that the next one replaces; elsewhere than on a terminal, at most one in ten seconds, or where it `matters`.
  func living(_ text: String, at now: Duration, matters: Bool = false) {
    if isTerminal {
      guard matters || now - lastLiving > .milliseconds(100) else { return }
      lastLiving = now
      let width = terminalWidth()
      let shown = String(text.prefix(max(20, width - 1)))
      write("\r" + shown + String(repeating: " ", count: max(0, livingLength - shown.count)))
      livingLength = shown.count
    } else if matters || now - lastPlain >= .seconds(10) {
      lastPlain = now
      write(text + "\n")
    }
  }

  /// Lets the living line stay, and begins a new one.
  func keep() {
    guard livingLength > 0 else { return }
    write("\n")
    livingLength = 0
  }

  func clear() {
    guard livingLength > 0 else { return }
    write("\r" + String(repeating: " ", count: livingLength) + "\r")
    livingLength = 0
  }

  /// Nobody may be listening any more, or the disk may be full: training goes on.
  private func write(_ text: String) { try? FileHandle.standardOutput.write(contentsOf: Data(text.utf8)) }

  private func terminalWidth() -> Int {
    var size = winsize()
    guard unsafe ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return 100 }
    return Int(size.ws_col)
  }
}

/// The text of a training step's progress.
struct TrainingProgress {
  let lastStep: UInt64
  let stepsPerEpoch: UInt64
  private var clips = 0
  private var correct = 0
  private var epochLoss = 0.0
  private var epoch: UInt64 = 0
  private var recent: [(time: Duration, clips: Int)] = []

  init(lastStep: UInt64, stepsPerEpoch: UInt64) {
    self.lastStep = lastStep
    self.stepsPerEpoch = stepsPerEpoch
  }

  /// - Returns: the line, and whether the step ends an epoch.
  mutating func line(_ step: CommittedStep, workers: Int, at now: Duration) -> (String, endsEpoch: Bool) {
    let record = step.record
    if record.step / stepsPerEpoch != epoch {
      epoch = record.step / stepsPerEpoch
      (clips, correct, epochLoss) = (0, 0, 0)
    }
    clips += record.clips
    correct += record.top1
    epochLoss += record.loss * Double(record.clips)
    recent.append((now, record.clips))
    if recent.count > 50 { recent.removeFirst() }
    let span = recent.first.map { now - $0.time } ?? .zero
    let seconds = Double(span.components.seconds) + Double(span.components.attoseconds) * 1e-18
    let rate = seconds > 0 ? Double(recent.dropFirst().reduce(0) { $0 + $1.clips }) / seconds : 0
    let left = lastStep - record.step - 1
    let perStep = recent.count > 1 ? seconds / Double(recent.count - 1) : 0
    let exchange =
      if step.rawBytes > 0 {
        "wire \(fixed(Double(step.rawBytes) / Double(step.wireBytes), 2))x"
      } else { step.wireBytes > 0 ? "sums in memory" : "wire -" }
    let fields = [
      "epoch \(epoch + 1)/\((lastStep + stepsPerEpoch - 1) / stepsPerEpoch)", "step \(record.step + 1)/\(lastStep)",
      "loss \(fixed(epochLoss / Double(max(1, clips)), 3))", "top-1 \(percent(correct, clips))",
      "\(fixed(rate, 1)) clips/s", "left \(clock(perStep * Double(left)))", "workers \(workers)",
      exchange,
    ]
    return (fields.joined(separator: "  "), (record.step + 1) % stepsPerEpoch == 0)
  }
}

func fixed(_ value: Double, _ digits: Int) -> String { String(format: "%.\(digits)f", value) }

func percent(_ part: Int, _ whole: Int) -> String {
  whole == 0 ? "-" : fixed(100 * Double(part) / Double(whole), 1) + " %"
}

func clock(_ seconds: Double) -> String {
  let whole = Int(seconds.rounded())
  let minutes = whole / 60 % 60
  return whole >= 3600
    ? "\(whole / 3600) h \(minutes) min" : whole >= 60 ? "\(minutes) min \(whole % 60) s" : "\(whole) s"
}
