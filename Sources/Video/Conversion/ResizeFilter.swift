// Which samples make a result along one axis of the picture, and with which weights: exact integers until the end.
import Shared

/// The part of an axis that is shown, in pixels of the stored picture, which may be scaled first.
struct ResizeAxis: Hashable, Sendable {
  /// Pixels of the picture.
  var picture: Int
  /// Pixels to which the picture is scaled, of which `start` and `length` select the shown ones.
  var scaled: Int
  var start: Int
  var length: Int
  /// Whether a result at the border sees pixels outside the shown ones. A crop that is resized does not; a resized
  /// picture that is cropped does.
  var seesBeyond: Bool
  /// Whether the results run from the end to the start.
  var isReversed: Bool
}

/// Where chroma samples are, along one axis.
enum ChromaSiting: Hashable, Sendable {
  /// At the first, between, or at the last of the pixels that share the sample.
  case first
  case between
  case last
}

/// Bilinear interpolation; where the axis shrinks, its triangle widens by as much (antialiasing). The same weights as
/// libswscale's `SWS_BILINEAR` and Pillow's `BILINEAR`, apart from their rounding.
struct ResizeFilter: Sendable {
  let taps: Int
  /// The samples that are used.
  let samples: Range<Int>
  /// For each result: the first of its samples, counted from `samples.lowerBound`.
  let first: AlignedStorage<Int32>
  /// [results][taps]; each result's weights sum to 1.
  let weights: AlignedStorage<Float>

  /// - Parameters:
  ///   - shift: a sample is shared by 2^shift pixels.
  init(_ axis: ResizeAxis, results: Int, shift: Int = 0, siting: ChromaSiting = .between) {
    // A pixel is `unit` long, so that all positions are integers.
    let unit = 2 * results * axis.scaled
    let spacing = unit << shift
    let siteOfFirst =
      switch siting {
      case .first: unit / 2
      case .between: spacing / 2
      case .last: spacing - unit / 2
      }
    let radius = max(2 * axis.length * axis.picture, spacing)
    let shown = axis.seesBeyond ? 0..<axis.picture : axis.start..<axis.start + axis.length
    let lowest = shown.lowerBound >> shift
    let highest = (shown.upperBound - 1) >> shift

    func centre(_ result: Int) -> Int {
      let place = axis.isReversed ? results - 1 - result : result
      return (2 * results * axis.start + (2 * place + 1) * axis.length) * axis.picture
    }
    /// The samples with weight, which may lie outside.
    func support(_ centre: Int) -> ClosedRange<Int> {
      let before = floorOfQuotient(centre - radius - siteOfFirst, spacing)
      return before + 1...floorOfQuotient(centre + radius - siteOfFirst - 1, spacing)
    }
    func inside(_ sample: Int) -> Int { min(max(sample, lowest), highest) }

    let supports = (0..<results).map { support(centre($0)) }
    let starts = supports.map { inside($0.lowerBound) }
    let ends = supports.map { inside($0.upperBound) }
    let used = (starts.min() ?? lowest)..<(ends.max() ?? lowest) + 1
    let taps = zip(starts, ends).map { $1 - $0 + 1 }.max() ?? 1
    let first = AlignedStorage<Int32>(count: results)
    let weights = AlignedStorage<Float>(count: results * taps)
    var sums = [Int](repeating: 0, count: taps)
    for result in 0..<results {
      let start = min(starts[result], used.upperBound - taps)
      first[result] = Int32(start - used.lowerBound)
      let centre = centre(result)
      var total = 0
      for tap in 0..<taps { sums[tap] = 0 }
      for sample in supports[result] {
        let weight = radius - abs(sample * spacing + siteOfFirst - centre)
        // What would come from outside comes from the border.
        sums[inside(sample) - start] += weight
        total += weight
      }
      for tap in 0..<taps { weights[result * taps + tap] = Float(Double(sums[tap]) / Double(total)) }
    }
    self.taps = taps
    samples = used
    self.first = first
    self.weights = weights
  }
}

/// ⌊a/b⌋ for b > 0.
private func floorOfQuotient(_ a: Int, _ b: Int) -> Int {
  let quotient = a / b
  return a % b < 0 ? quotient - 1 : quotient
}
