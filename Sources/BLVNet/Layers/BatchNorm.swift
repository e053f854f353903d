// Batch normalisation, fused with the residual addition and ReLU that follow it.
import CKernels
import Shared

/// dst = ReLU((src − mean) / √(variance + ε) · weight + bias + residual), residual and ReLU being optional.
///
/// Training takes mean and (biased) variance from each group of the lane's clips and reports the mean and the unbiased
/// variance; with a single value per channel, where the latter does not exist, the biased one. A smaller residual is
/// upsampled by nearest neighbour. **Shapes:** src, dst [N·frames, H, W, C]; weight, bias, mean, variance [C].
/// **Source:** Ioffe and Szegedy, "Batch Normalization", ICML 2015, algorithm 1 and section 3; groups: Wu et al., "A
/// Multigrid Method for Efficiently Training Video Models", CVPR 2020, section 3.3.
struct BatchNorm: Layer {
  static let epsilon = 1e-5

  let name: String
  let shape: Value
  let residualShape: Value?
  let relu: Bool
  let weight: TensorReference
  let bias: TensorReference
  let mean: TensorReference
  let variance: TensorReference
  let src: Int
  let residual: Int?
  let dst: Int

  var sources: [Int] { residual.map { [src, $0] } ?? [src] }
  var results: [Int] { [dst] }
  var kept: [Int] { relu && residual != nil ? [src, dst] : [src] }
  /// The result is recomputed from the convolution's result and the statistics, which are kept.
  var isRecomputed: Bool { relu && residual == nil }
  /// The residual's gradient is the masked gradient of the result. Without a residual of this size, the source's takes
  /// that place.
  var inPlaceSources: [Int] {
    if let residual, !enlarges { return [residual, src] }
    return [src]
  }
  var parameterCount: Int { 2 * weight.count }
  /// Not if the residual is upsampled: that is best done while it is read.
  var epilogue: BatchNorm? { enlarges ? nil : self }

  /// Four vectors with one number per channel, and six that repeat them to the span.
  func scratch(clips: Int, _ engine: any ConvolutionEngine, _ team: Team) -> LayerScratch {
    LayerScratch(gradient: 2 * channels, vectors: 10, span: span, sums: 2 * span)
  }

  var enlarges: Bool {
    guard let residualShape else { return false }
    return residualShape.height != shape.height || residualShape.width != shape.width
  }
  private var sizes: tamring_window {
    let from = residualShape ?? shape
    return tamring_window(
      height: Int64(from.height), width: Int64(from.width), channels: Int64(from.channels), kernel: 1, stride: 1,
      padding: 0, out_height: Int64(shape.height), out_width: Int64(shape.width))
  }
  private var channels: Int { shape.channels }
  /// Whether training uses the running statistics and leaves them as they are.
  private var isFrozen: Bool { weight.isFrozen && bias.isFrozen }
  private var span: Int { Int(tamring_span(Int64(shape.channels))) }
  /// The unit in which threads divide a pass, in elements.
  private var block: Int { Int(tamring_block_rows) * span }

  /// Clips that are normalised together, and where their statistics begin in `Lane.moments` and `inverseDeviations`.
  private struct Group {
    let clips: Range<Int>
    let statistics: Int
  }

  private func eachGroup(_ lane: Lane, _ body: (Group) -> Void) {
    var usesRunning = isFrozen
    if case .evaluation = lane.pass { usesRunning = true }
    guard !usesRunning else { return body(Group(clips: 0..<lane.clips, statistics: 0)) }
    for number in 0..<lane.groupCount {
      body(Group(clips: lane.group(number), statistics: number * lane.network.layout.statisticCount))
    }
  }

  func forward(_ lane: Lane) { eachGroup(lane) { forward(lane, $0) } }

  private func forward(_ lane: Lane, _ group: Group) {
    let bytes = lane.elementBytes
    let (start, count) = (group.clips.lowerBound * shape.count * bytes, group.clips.count * shape.count)
    let x = unsafe lane.value(src) + start
    let y = unsafe lane.value(dst) + start
    switch lane.pass {
    case .training: if isFrozen { recall(lane) } else { unsafe measure(lane, group, x, count) }
    case .backward: break
    case .evaluation: recall(lane)
    }

    let means = unsafe lane.expand(lane.moments.base + group.statistics + mean.offset, channels, 0)
    let (scale, shift) = unsafe affine(lane, group)
    let otherStart = group.clips.lowerBound * residualCount * bytes
    let other = unsafe residual.map { unsafe lane.value($0) + otherStart }
    // A smaller residual is upsampled image by image.
    let (unit, otherUnit) =
      enlarges ? (shape.count / shape.frames, residualCount / shape.frames) : (block, block)
    unsafe withUnsafePointer(to: sizes) { sizes in
      lane.team.part(count, by: unit) { part, _ in
        let (first, otherFirst) = (part.lowerBound * bytes, part.lowerBound / unit * otherUnit * bytes)
        unsafe tamring_norm_forward(
          lane.bf16, x + first, Int64(part.count), Int64(span), means, scale, shift,
          other.map { unsafe $0 + otherFirst }, enlarges ? sizes : nil, relu, y + first)
      }
    }
  }

  private var residualCount: Int { residualShape?.count ?? shape.count }

  /// For evaluation: scale = weight / √(variance + ε) and shift = bias − mean · scale, for each channel.
  func constants(_ lane: Lane) -> (scale: UnsafePointer<Float>, shift: UnsafePointer<Float>) {
    recall(lane)
    let (weights, biases) = unsafe (lane.parameter(weight), lane.parameter(bias))
    let (scale, shift) = unsafe (lane.channelValues(0), lane.channelValues(1))
    for c in 0..<channels {
      unsafe scale[c] = weights[c] * lane.inverseDeviations[variance.offset + c]
      unsafe shift[c] = Float(Double(biases[c]) - Double(lane.moments[mean.offset + c]) * Double(scale[c]))
    }
    return unsafe (UnsafePointer(scale), UnsafePointer(shift))
  }

  /// weight / √(variance + ε) and the bias, for each channel.
  private func affine(_ lane: Lane, _ group: Group) -> (scale: UnsafePointer<Float>?, shift: UnsafePointer<Float>?) {
    let weights = unsafe lane.parameter(weight)
    let deviations = unsafe lane.inverseDeviations.base + group.statistics + variance.offset
    let scale = unsafe lane.channelValues(0)
    for c in 0..<channels { unsafe scale[c] = weights[c] * deviations[c] }
    return unsafe (lane.expand(scale, channels, 4), lane.expand(lane.parameter(bias), channels, 5))
  }

  /// The running mean and variance that training left.
  private func recall(_ lane: Lane) {
    let running = lane.running
    for c in 0..<channels {
      lane.moments[mean.offset + c] = running[mean.offset + c]
      let variance = Double(running[variance.offset + c])
      lane.inverseDeviations[self.variance.offset + c] = Float(1 / (variance + Self.epsilon).squareRoot())
    }
  }

  /// Mean and variance of a group, in double, relative to the first row, so that a large mean costs no digits.
  private func measure(_ lane: Lane, _ group: Group, _ x: UnsafeRawPointer, _ count: Int) {
    let (mean, variance) = (group.statistics + mean.offset, group.statistics + variance.offset)
    let pivot = unsafe lane.expand(lane.floats(x, channels), channels, 0)
    let sums = unsafe sums(lane, count) { first, n, sums in
      unsafe tamring_norm_sums(lane.bf16, x + first, n, Int64(span), pivot, sums)
    }
    let values = Double(count / channels)
    for c in 0..<channels {
      let (sum, squares) = unsafe foldedSums(sums, c)
      let offset = sum / values
      let biased = max(0, squares / values - offset * offset)
      lane.moments[mean + c] = unsafe Float(Double(pivot[c]) + offset)
      lane.moments[variance + c] = Float(biased * (values / max(1, values - 1)))
      lane.inverseDeviations[variance + c] = Float(1 / (biased + Self.epsilon).squareRoot())
    }
  }

  /// Two sums per column over `count` elements. `body` gets the byte offset of a part, its element count, and the sums.
  private func sums(
    _ lane: Lane, _ count: Int, _ body: (Int, Int64, UnsafeMutablePointer<Double>) -> Void
  ) -> UnsafePointer<Double> {
    unsafe lane.sums(2 * span, over: (count + span - 1) / span, by: Int(tamring_block_rows)) { rows, sums in
      let (first, last) = (rows.lowerBound * span, min(count, rows.upperBound * span))
      unsafe body(first * lane.elementBytes, Int64(last - first), sums)
    }
  }

  /// The two sums of one channel, folded over its repetitions within `span`.
  private func foldedSums(_ sums: UnsafePointer<Double>, _ channel: Int) -> (Double, Double) {
    var (first, second) = (0.0, 0.0)
    for i in stride(from: channel, to: span, by: channels) {
      unsafe first += sums[i]
      unsafe second += sums[span + i]
    }
    return (first, second)
  }

  /// With x̂ = (x − mean) · s: dBias = Σg, dWeight = Σ g·x̂, dx = weight · s · (g − Σg/n − x̂ · Σ(g·x̂)/n). If it is
  /// frozen, mean and s are constants, and dx = weight · s · g. The sums of the groups add up to dBias and dWeight.
  func backward(_ lane: Lane, _ roles: [GradientRole], _ sink: GradientSink) throws {
    eachGroup(lane) { backward(lane, roles, $0) }
    try unsafe lane.emit(bias, sink)
    try unsafe lane.emit(weight, at: channels, sink)
  }

  private func backward(_ lane: Lane, _ roles: [GradientRole], _ group: Group) {
    let bytes = lane.elementBytes
    let (start, count) = (group.clips.lowerBound * shape.count * bytes, group.clips.count * shape.count)
    let x = unsafe lane.value(src) + start
    let g = unsafe lane.gradient(dst) + start
    let means = unsafe lane.expand(lane.moments.base + group.statistics + mean.offset, channels, 0)
    // Without a residual, x shows what ReLU clipped. That saves a pass over the result, and writing g.
    let recomputes = relu && residual == nil
    let stopped = unsafe recomputes ? affine(lane, group) : (nil, nil)
    let y = unsafe relu && !recomputes ? lane.value(dst) + start : nil
    // This pass also applies ReLU's mask to g where the result shows it.
    let sums =
      unsafe isFrozen && y == nil
      ? nil
      : sums(lane, count) { first, n, sums in
        unsafe tamring_norm_backward_sums(
          lane.bf16, g + first, y.map { unsafe $0 + first }, x + first, n, Int64(span), means, stopped.0, stopped.1,
          sums)
      }

    let values = Double(count / channels)
    let weights = unsafe lane.parameter(weight)
    let (a, b, c) = unsafe (lane.channelValues(1), lane.channelValues(2), lane.channelValues(3))
    let dBias = unsafe lane.parameterGradient
    let dWeight = unsafe lane.parameterGradient + channels
    let isFirst = group.clips.lowerBound == 0
    for i in 0..<channels {
      let (sum, products) = unsafe isFrozen ? (0, 0) : sums.map { unsafe foldedSums($0, i) } ?? (0, 0)
      let s = Double(lane.inverseDeviations[group.statistics + variance.offset + i])
      let direct = unsafe Double(weights[i]) * s
      unsafe a[i] = Float(direct)
      unsafe b[i] = Float(-direct * sum / values)
      unsafe c[i] = Float(-direct * s * s * products / values)
      unsafe dBias[i] = isFirst ? Float(sum) : dBias[i] + Float(sum)
      unsafe dWeight[i] = isFirst ? Float(products * s) : dWeight[i] + Float(products * s)
    }

    if let residual { unsafe passOn(lane, g, group.clips, to: residual, roles[1]) }
    let vectors = unsafe (
      a: lane.expand(a, channels, 1), b: lane.expand(b, channels, 2), c: lane.expand(c, channels, 3)
    )
    guard roles[0] != .none else { return }
    let dx = unsafe lane.gradient(src) + start
    lane.team.part(count, by: block) { part, _ in
      let first = part.lowerBound * bytes
      unsafe tamring_norm_backward(
        lane.bf16, g + first, x + first, Int64(part.count), Int64(span), means, stopped.0, stopped.1, vectors.a,
        vectors.b, vectors.c, dx + first)
    }
  }

  private func passOn(
    _ lane: Lane, _ g: UnsafeRawPointer, _ clips: Range<Int>, to residual: Int, _ role: GradientRole
  ) {
    guard role == .write || role == .accumulate else { return }
    let bytes = lane.elementBytes
    let dResidual = unsafe lane.gradient(residual) + clips.lowerBound * residualCount * bytes
    if enlarges {
      let (large, small) = (shape.count / shape.frames * bytes, residualCount / shape.frames * bytes)
      lane.team.part(clips.count * shape.frames) { images, _ in
        var sizes = sizes
        unsafe tamring_enlarge_gradient(
          lane.bf16, &sizes, Int64(images.count), g + images.lowerBound * large, role == .accumulate,
          dResidual + images.lowerBound * small)
      }
      return
    }
    lane.team.part(clips.count * shape.count, by: block) { part, _ in
      let first = part.lowerBound * bytes
      if role == .write {
        unsafe (dResidual + first).copyMemory(from: g + first, byteCount: part.count * bytes)
      } else {
        unsafe tamring_accumulate(lane.bf16, g + first, Int64(part.count), dResidual + first)
      }
    }
  }
}
