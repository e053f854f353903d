// The temporal aggregation module (TAM), and the plain split of frames that replaces it in bLVNet without TAM.
import CKernels

/// dst[t] = ReLU(Σ_k taps[k] ⊙ x[t + k − ⌊r/2⌋]), zero beyond the clip's ends. If the source has half the frames,
/// each counts twice: x[t] = src[⌊t/2⌋]. If split, odd results go to `big` and even ones to `little`.
///
/// **Shapes:** src [N·frames or N·frames/2, H, W, C]; big, little [N·frames/2, H, W, C] or big [N·frames, H, W, C];
/// taps [C] each. **Source:** Fan, Chen et al., NeurIPS 2019, section 3.2.
struct TemporalModule: Layer {
  let name: String
  let source: Value
  let frames: Int
  let taps: [TensorReference]
  let src: Int
  let big: Int
  let little: Int?

  var sources: [Int] { [src] }
  var results: [Int] { little.map { [big, $0] } ?? [big] }
  var kept: [Int] { [src] + results }
  var isRecomputed: Bool { true }
  var multiplyAdds: Int { frames * taps.count * source.count / source.frames }
  var parameterCount: Int { taps.count * source.channels }

  func scratch(clips: Int, _ engine: any ConvolutionEngine, _ team: Team) -> LayerScratch {
    LayerScratch(gradient: source.channels, vectors: taps.count, span: span, sums: taps.count * span)
  }

  private var span: Int { Int(tamring_span(Int64(source.channels))) }
  private var frameSize: Int { source.count / source.frames }
  /// Rows of `span` in a frame, and in a tile of the kernels.
  private var rows: Int { (frameSize + span - 1) / span }
  private var tileRows: Int { Int(tamring_temporal_rows(Int64(span))) }

  /// The kernels' shape for a range of rows of each frame.
  private func kernelShape(_ rows: Range<Int>) -> tamring_temporal_shape {
    tamring_temporal_shape(
      frames: Int64(frames), taps: Int64(taps.count), frame_size: Int64(frameSize), span: Int64(span),
      begin: Int64(rows.lowerBound * span), end: Int64(min(frameSize, rows.upperBound * span)),
      paired: source.frames != frames, split: little != nil)
  }

  /// The taps' weights, [taps, span].
  private func weights(_ lane: Lane) -> UnsafePointer<Float> {
    let expanded = unsafe lane.channelValues(0)
    for (i, tap) in taps.enumerated() {
      unsafe tamring_expand(lane.parameter(tap), Int64(source.channels), Int64(span), expanded + i * span)
    }
    return unsafe UnsafePointer(expanded)
  }

  func forward(_ lane: Lane) {
    let weights = unsafe weights(lane)
    lane.team.part(rows, by: tileRows) { rows, _ in
      var shape = kernelShape(rows)
      unsafe tamring_temporal_forward(
        lane.bf16, &shape, Int64(lane.clips), lane.value(src), weights, lane.value(big), lane.value(little ?? big))
    }
  }

  func backward(_ lane: Lane, _ roles: [GradientRole], _ sink: GradientSink) throws {
    let other = little ?? big
    let weights = unsafe weights(lane)
    let sums = unsafe lane.sums(taps.count * span, over: rows, by: tileRows) { rows, sums in
      var shape = kernelShape(rows)
      unsafe tamring_temporal_backward(
        lane.bf16, &shape, Int64(lane.clips), lane.value(src), weights, lane.value(big), lane.value(other),
        lane.gradient(big), lane.gradient(other), roles[0] == .accumulate,
        roles[0] == .none ? nil : lane.gradient(src), sums)
    }
    for (k, tap) in taps.enumerated() {
      for c in 0..<source.channels {
        var sum = 0.0
        for i in stride(from: c, to: span, by: source.channels) { unsafe sum += sums[k * span + i] }
        unsafe lane.parameterGradient[c] = Float(sum)
      }
      try unsafe lane.emit(tap, sink)
    }
  }
}

/// Copies odd frames to `big` and even ones to `little`: what remains of layer 0's module in bLVNet without TAM.
struct FrameSplit: Layer {
  let name: String
  let source: Value
  let src: Int
  let big: Int
  let little: Int

  var sources: [Int] { [src] }
  var results: [Int] { [big, little] }
  var kept: [Int] { [] }

  func forward(_ lane: Lane) {
    let size = source.count / source.frames * lane.elementBytes
    let (from, odd, even) = unsafe (lane.value(src), lane.value(big), lane.value(little))
    for frame in 0..<lane.clips * source.frames {
      unsafe ((frame % 2 == 1 ? odd : even) + frame / 2 * size).copyMemory(from: from + frame * size, byteCount: size)
    }
  }

  func backward(_ lane: Lane, _ roles: [GradientRole], _ sink: GradientSink) throws {
    precondition(roles[0] == .write, "only the split reads the stem")
    let size = source.count / source.frames * lane.elementBytes
    let (to, odd, even) = unsafe (lane.gradient(src), lane.gradient(big), lane.gradient(little))
    for frame in 0..<lane.clips * source.frames {
      unsafe (to + frame * size).copyMemory(from: (frame % 2 == 1 ? odd : even) + frame / 2 * size, byteCount: size)
    }
  }
}
