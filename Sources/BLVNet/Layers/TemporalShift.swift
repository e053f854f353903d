// The temporal shift (TSM), which mixes time without a parameter.
import CKernels

/// dst[t] takes its first f channels from x[t + 1], the next f from x[t − 1], and the others from x[t]; zero beyond the
/// clip's ends. If the source has half the frames, each counts twice: x[t] = src[⌊t/2⌋]. If split, odd results go to
/// `big` and even ones to `little`.
///
/// **Shapes:** src [N·frames or N·frames/2, H, W, C]; big, little [N·frames/2, H, W, C] or big [N·frames, H, W, C].
/// **Source:** Lin, Gan and Han, "TSM: Temporal Shift Module for Efficient Video Understanding", ICCV 2019, section 3.
struct TemporalShift: Layer {
  let name: String
  let source: Value
  let frames: Int
  /// Channels that come from each neighbour (f).
  let fold: Int
  let src: Int
  let big: Int
  let little: Int?

  var sources: [Int] { [src] }
  var results: [Int] { little.map { [big, $0] } ?? [big] }
  var kept: [Int] { [] }
  var isRecomputed: Bool { true }

  private var pixels: Int { source.height * source.width }

  private func kernelShape(_ pixels: Range<Int>) -> tamring_shift_shape {
    tamring_shift_shape(
      frames: Int64(frames), frame_size: Int64(source.count / source.frames), channels: Int64(source.channels),
      fold: Int64(fold), begin: Int64(pixels.lowerBound), end: Int64(pixels.upperBound),
      paired: source.frames != frames, split: little != nil)
  }

  func forward(_ lane: Lane) {
    lane.team.part(pixels) { pixels, _ in
      var shape = kernelShape(pixels)
      unsafe tamring_temporal_shift(
        lane.bf16, &shape, Int64(lane.clips), lane.value(src), lane.value(big), lane.value(little ?? big))
    }
  }

  func backward(_ lane: Lane, _ roles: [GradientRole], _ sink: GradientSink) throws {
    guard roles[0] != .none else { return }
    lane.team.part(pixels) { pixels, _ in
      var shape = kernelShape(pixels)
      unsafe tamring_temporal_shift_gradient(
        lane.bf16, &shape, Int64(lane.clips), lane.gradient(big), lane.gradient(little ?? big),
        roles[0] == .accumulate, lane.gradient(src))
    }
  }
}
