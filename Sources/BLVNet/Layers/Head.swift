// From the last features to the loss: average over space, dropout, classifier, mean over frames, the clips' losses.
import CKernels
import Shared

/// The class head as a network's definition declares it.
struct ClassHead: Sendable {
  let name: String
  /// Another name under which state dicts may hold its tensors.
  let alternative: String?
  /// The value that it averages, and its shape.
  let features: Int
  let shape: Value
  let classes: Int
  /// The probability of a zeroed feature.
  let dropout: Double
  let weight: TensorReference
  let bias: TensorReference

  var scratch: LayerScratch { LayerScratch(gradient: max(weight.count, bias.count)) }
}

/// The class head of a lane, with its memory.
///
/// logits = mean over frames of (W · dropout(mean over space of features) + b).
///
/// As both are linear, the frames are averaged before the classifier. **Shapes:** features [N·F, H, W, C]; logits
/// [N, classes]; W [classes, C]. Dropout zeroes features of single frames and divides the others by 1 − p.
final class Head {
  /// [maximumClips, classes]; after `loss`, `dLogits` holds its gradient.
  let logits: FloatStorage
  private let dLogits: FloatStorage
  /// [maximumClips, C]: averaged over space and frames.
  private let pooled: FloatStorage
  private let dPooled: FloatStorage
  /// [maximumClips·F, C]: the dropout mask, 0 or 1 / (1 − p), then multiplied by one value's share in the clip's mean.
  private let shares: FloatStorage
  private let shape: Value
  private let features: Int
  private let weight: TensorReference
  private let bias: TensorReference
  private let classes: Int
  private let dropout: Double

  init(_ head: ClassHead, maximumClips: Int) {
    (features, shape) = (head.features, head.shape)
    (weight, bias) = (head.weight, head.bias)
    (classes, dropout) = (head.classes, head.dropout)
    logits = FloatStorage(count: maximumClips * classes)
    dLogits = FloatStorage(count: maximumClips * classes)
    pooled = FloatStorage(count: maximumClips * shape.channels)
    dPooled = FloatStorage(count: maximumClips * shape.channels)
    shares = FloatStorage(count: maximumClips * shape.frames * shape.channels)
  }

  /// - Parameter key: the key of dropout; nil for evaluation.
  func forward(_ lane: Lane, _ key: DropoutKey?) {
    drawShares(lane.clips, key)
    let channels = shape.channels
    let pixels = shape.height * shape.width
    unsafe pooled.base.update(repeating: 0, count: lane.clips * channels)
    for frame in 0..<lane.clips * shape.frames {
      let to = unsafe pooled.base + frame / shape.frames * channels
      let share = unsafe shares.base + frame * channels
      unsafe tamring_gather_pixels(
        lane.bf16, lane.value(features) + frame * pixels * channels * lane.elementBytes, Int64(pixels),
        Int64(channels), share, to)
    }
    for clip in 0..<lane.clips {
      unsafe (logits.base + clip * classes).update(from: lane.parameter(bias), count: classes)
    }
    unsafe multiply(
      lane.clips, classes, channels, pooled.base, channels, false, lane.parameter(weight), channels, true, 1,
      logits.base)
  }

  /// [clips, C], of the last forward pass.
  func pooledFeatures(clips: Int) -> [Float] { pooled.array(0..<clips * shape.channels) }

  private func drawShares(_ clips: Int, _ key: DropoutKey?) {
    let count = clips * shape.frames * shape.channels
    let whole = Float(1 / Double(shape.frames * shape.height * shape.width))
    unsafe shares.base.update(repeating: whole, count: count)
    guard let key, dropout > 0 else { return }
    var random = Philox(
      seed: key.seed, .dropout, UInt32(truncatingIfNeeded: key.step), UInt32(truncatingIfNeeded: key.lane))
    let kept = Float(Double(whole) / (1 - dropout))
    for i in 0..<count { unsafe shares.base[i] = random.unit() < dropout ? 0 : kept }
  }

  /// The loss of each clip, and how many clips are classified correctly. Leaves the gradient of the summed loss in
  /// `dLogits`.
  func loss(_ targets: [ClassTarget], _ loss: ClassLoss) -> (losses: [Float], top1: Int, top5: Int) {
    var losses: [Float] = []
    var (top1, top5) = (0, 0)
    for (clip, target) in targets.enumerated() {
      let row = unsafe UnsafeBufferPointer(start: logits.base + clip * classes, count: classes)
      let gradient = unsafe UnsafeMutableBufferPointer(start: dLogits.base + clip * classes, count: classes)
      unsafe losses.append(loss.loss(row, target, gradient: gradient))
      let place = rank(ofAny: target.counted, in: logits.array(clip * classes..<(clip + 1) * classes)) ?? .max
      top1 += place < 1 ? 1 : 0
      top5 += place < 5 ? 1 : 0
    }
    return (losses, top1, top5)
  }

  func backward(_ lane: Lane, _ sink: GradientSink) throws {
    let clips = lane.clips
    let channels = shape.channels
    for c in 0..<classes {
      var sum: Float = 0
      for clip in 0..<clips { sum += unsafe dLogits.base[clip * classes + c] }
      unsafe lane.parameterGradient[c] = sum
    }
    try unsafe lane.emit(bias, sink)
    unsafe multiply(
      classes, channels, clips, dLogits.base, classes, true, pooled.base, channels, false, 0, lane.parameterGradient)
    try unsafe lane.emit(weight, sink)

    guard lane.hasGradient(features) else { return }
    unsafe multiply(
      clips, channels, classes, dLogits.base, classes, false, lane.parameter(weight), channels, false, 0, dPooled.base
    )
    let pixels = shape.height * shape.width
    for frame in 0..<clips * shape.frames {
      let from = unsafe dPooled.base + frame / shape.frames * channels
      let share = unsafe shares.base + frame * channels
      unsafe tamring_spread_pixels(
        lane.bf16, from, Int64(pixels), Int64(channels), share,
        lane.gradient(features) + frame * pixels * channels * lane.elementBytes)
    }
  }
}
