// What `checkpoints/best.json` says of the best model.
import CoordinatorCore
import Foundation
import Shared

/// The figures of the best model, for people and scripts. The journal decides which model is the best.
struct BestModel: Codable, Equatable {
  /// The checkpoint is `step-NNNNNNNN`.
  var step: UInt64
  /// Of the validation clips: those that could be decoded, and of how many a class of theirs was ranked first, or among
  /// the first five.
  var clips: Int
  var top1: Int
  var top5: Int
  /// The clips' losses, in units of 2^-32; and their mean, in nats.
  var lossSum: Int64?
  var loss: Double?
  /// From 0 to 1, where it is measured.
  var meanPrecision: Double?

  init(step: UInt64, _ figures: ValidationFigures) {
    self.step = step
    (clips, top1, top5) = (figures.clips, figures.top1, figures.top5)
    lossSum = figures.loss
    loss = figures.loss.map { _ in figures.result.meanLoss }
    meanPrecision = figures.meanPrecision.map(AveragePrecision.fraction)
  }

  private enum CodingKeys: String, CodingKey {
    case step, clips, top1, top5, loss
    case lossSum = "loss_sum"
    case meanPrecision = "mean_average_precision"
  }

  func json() throws -> Data {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .prettyPrinted]
    return try encoder.encode(self) + Data("\n".utf8)
  }
}
