// What is said of a run, as text: pure functions of a `RunStatus` or a `RunEvent`.
import CoordinatorCore
import Foundation
import Shared
import Wire

extension RunStatus {
  /// The line that shows progress.
  var progressLine: String {
    if let evaluation { return "validation  \(evaluation.result.clips)/\(evaluation.clips) clips" }
    let pace = training?.clipsPerSecond ?? 0
    let validated = [("validated", lastEvaluation), ("best", best)].compactMap { name, evaluation in
      evaluation.map { "\(name) \($0.result.meanPrecisionText ?? percent($0.result.top1, $0.result.clips))" }
    }
    let fields = [
      "epoch \(epoch + 1)/\(epochs)", "step \(step)/\(lastStep)", "loss \(fixed(training?.loss ?? 0, 3))",
      "top-1 \(percent(training?.top1 ?? 0, training?.clips ?? 0))",
      "\(pace > 0 ? fixed(pace, 1) : "-") clips/s", "left \(secondsLeft.map(clock) ?? "-")", "workers \(members.count)",
      lastExchange?.text ?? "wire -",
    ]
    return (fields + validated).joined(separator: "  ")
  }
}

extension RunStatus.Exchange {
  fileprivate var text: String {
    if rawBytes > 0 { return "wire \(fixed(Double(rawBytes) / Double(wireBytes), 2))x" }
    return wireBytes > 0 ? "sums in memory" : "wire -"
  }
}

extension RunEvent {
  /// The line that stays on the screen.
  var line: String { level == .info ? text : "\(level.rawValue): \(text)" }
}

extension EvaluationResult {
  var meanPrecisionText: String? { meanPrecision.map { "mAP \(fixed(AveragePrecision.percent($0), 4)) %" } }

  /// - Parameter classes: of the data. With five or fewer, every clip's class is among the first five.
  func text(classes: Int) -> String {
    let five = classes > 5 ? ", top-5 \(percent(top5, clips))" : ""
    let precision = meanPrecisionText.map { $0 + ", " } ?? ""
    return "\(precision)top-1 \(percent(top1, clips))\(five) of \(clips) clips"
      + (loss > 0 ? ", loss \(fixed(meanLoss, 6))" : "")
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
