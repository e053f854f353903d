// What the validations of a run came to, and what follows from that: the best model, a lower learning rate, an early
// end. Pure, and a function of the results alone: all figures are integers, and compared as such.
import Shared
import Wire

/// What a validation came to: sums over its clips.
package struct ValidationFigures: Equatable, Sendable {
  package var clips: Int
  package var top1: Int
  package var top5: Int
  /// In units of 2^-32; nil in the rows of older journals.
  package var loss: Int64?
  /// The mean average precision in units of 2^-32, where it was measured.
  package var meanPrecision: Int64?
  /// The digest of the state that was evaluated; nil where it is not known.
  package var state: Digest128?

  package init(clips: Int, top1: Int, top5: Int, loss: Int64?, meanPrecision: Int64? = nil, state: Digest128?) {
    self.state = state
    self.clips = clips
    self.top1 = top1
    self.top5 = top5
    self.loss = loss
    self.meanPrecision = meanPrecision
  }

  package init(_ result: EvaluationResult, of state: Digest128?) {
    self.init(
      clips: result.clips, top1: result.top1, top5: result.top5, loss: result.loss,
      meanPrecision: result.meanPrecision, state: state)
  }

  package var result: EvaluationResult {
    var result = EvaluationResult()
    (result.clips, result.top1, result.top5, result.loss) = (clips, top1, top5, loss ?? 0)
    result.meanPrecision = meanPrecision
    return result
  }

  /// Whether this is a better model: by the mean average precision where it is measured, else by the top-1 accuracy;
  /// then by the mean loss. Clips that could not be decoded are in none of them.
  package func isBetter(than other: ValidationFigures) -> Bool {
    guard clips > 0, other.clips > 0 else { return clips > 0 && other.clips == 0 }
    let (own, theirs) = (Int128(top1) * Int128(other.clips), Int128(other.top1) * Int128(clips))
    if let meanPrecision, let otherPrecision = other.meanPrecision {
      if meanPrecision != otherPrecision { return meanPrecision > otherPrecision }
    } else if own != theirs {
      return own > theirs
    }
    guard let loss, let otherLoss = other.loss else { return false }
    return Int128(loss) * Int128(other.clips) < Int128(otherLoss) * Int128(clips)
  }
}

/// The results of the validations, by the step before which each was.
package struct ValidationHistory: Equatable, Sendable {
  private var points: [(step: UInt64, figures: ValidationFigures)] = []

  package init(_ figures: [UInt64: ValidationFigures] = [:]) {
    points = figures.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
  }

  package subscript(step: UInt64) -> ValidationFigures? { points.first { $0.step == step }?.figures }

  mutating func add(_ step: UInt64, _ figures: ValidationFigures) {
    points.removeAll { $0.step == step }
    points.insert((step, figures), at: points.firstIndex { $0.step > step } ?? points.count)
  }

  /// Removes the results of the states before later steps.
  /// - Returns: what was removed.
  mutating func remove(after step: UInt64) -> [UInt64: ValidationFigures] {
    defer { points.removeAll { $0.step > step } }
    return Dictionary(points.filter { $0.step > step }, uniquingKeysWith: { first, _ in first })
  }

  /// The best model; of equal ones the first. Nil where no clip was evaluated.
  package var best: (step: UInt64, figures: ValidationFigures)? {
    var best: (step: UInt64, figures: ValidationFigures)?
    for point in points where point.figures.clips > 0 {
      if best.map({ point.figures.isBetter(than: $0.figures) }) ?? true { best = point }
    }
    return best
  }

  /// How many validations in a row, up to the one before `step`, found no better model.
  func withoutBetter(upTo step: UInt64, where isCounted: (UInt64) -> Bool) -> Int {
    var (best, waited): (ValidationFigures?, Int) = (nil, 0)
    for point in points where point.step <= step && isCounted(point.step) {
      if best.map({ point.figures.isBetter(than: $0) }) ?? true {
        (best, waited) = (point.figures, 0)
      } else {
        waited += 1
      }
    }
    return waited
  }

  /// How often a plateau has reduced the rate of step `step`: after more than `patience` validations in a row that
  /// found no better model, the rate is reduced and the count begins anew.
  func reductions(at step: UInt64, patience: Int, where isCounted: (UInt64) -> Bool) -> Int {
    var (best, waited, reductions): (ValidationFigures?, Int, Int) = (nil, 0, 0)
    for point in points where point.step <= step && isCounted(point.step) {
      if best.map({ point.figures.isBetter(than: $0) }) ?? true {
        (best, waited) = (point.figures, 0)
        continue
      }
      waited += 1
      if waited > patience { (reductions, waited) = (reductions + 1, 0) }
    }
    return reductions
  }

  package static func == (a: ValidationHistory, b: ValidationHistory) -> Bool {
    a.points.elementsEqual(b.points) { $0.step == $1.step && $0.figures == $1.figures }
  }
}
