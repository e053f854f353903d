// The average pool in front of a downsampled residual.
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
    let (small, large, bytes) = unsafe (lane.value(dst), lane.value(src), lane.elementBytes)
    lane.team.part(lane.clips * frames) { images, _ in
      var window = shape.window
      unsafe tamring_average_pool(
        lane.bf16, &window, Int64(images.count), large + images.lowerBound * shape.inputCount * bytes,
        small + images.lowerBound * shape.outputCount * bytes)
    }
  }

  func backward(_ lane: Lane, _ roles: [GradientRole], _ sink: GradientSink) throws {
    guard roles[0] != .none else { return }
    let (small, large, bytes) = unsafe (lane.gradient(dst), lane.gradient(src), lane.elementBytes)
    lane.team.part(lane.clips * frames) { images, _ in
      var window = shape.window
      unsafe tamring_average_pool_gradient(
        lane.bf16, &window, Int64(images.count), small + images.lowerBound * shape.outputCount * bytes,
        roles[0] == .accumulate, large + images.lowerBound * shape.inputCount * bytes)
    }
  }
}
