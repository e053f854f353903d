// The average pool in front of a residual that is sampled down.
import CKernels

/// The mean over 3x3 windows, stride 2, padding 1; the padding counts as zeros.
/// **Shapes:** src [N·frames, H, W, C], dst [N·frames, H', W', C].
struct AveragePool: Layer {
  let name: String
  let shape: ConvolutionShape
  let frames: Int
  let src: Int
  let dst: Int

  var sources: [Int] { [src] }
  var results: [Int] { [dst] }
  var kept: [Int] { [] }

  func forward(_ lane: Lane) {
    var window = shape.window
    unsafe tamring_average_pool(lane.bf16, &window, Int64(lane.clips * frames), lane.value(src), lane.value(dst))
  }

  func backward(_ lane: Lane, _ roles: [GradientRole], _ sink: GradientSink) throws {
    guard roles[0] != .none else { return }
    var window = shape.window
    unsafe tamring_average_pool_gradient(
      lane.bf16, &window, Int64(lane.clips * frames), lane.gradient(dst), roles[0] == .accumulate, lane.gradient(src))
  }
}
