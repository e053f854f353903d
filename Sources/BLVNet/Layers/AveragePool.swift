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
    let (small, large) = unsafe (lane.value(dst), lane.value(src))
    lane.team.part(lane.clips * frames) { images, _ in
      var window = shape.window
      unsafe tamring_average_pool(
        lane.bf16, &window, Int64(images.count), large + images.lowerBound * largeBytes(lane),
        small + images.lowerBound * smallBytes(lane))
    }
  }

  func backward(_ lane: Lane, _ roles: [GradientRole], _ sink: GradientSink) throws {
    guard roles[0] != .none else { return }
    let (small, large) = unsafe (lane.gradient(dst), lane.gradient(src))
    lane.team.part(lane.clips * frames) { images, _ in
      var window = shape.window
      unsafe tamring_average_pool_gradient(
        lane.bf16, &window, Int64(images.count), small + images.lowerBound * smallBytes(lane),
        roles[0] == .accumulate, large + images.lowerBound * largeBytes(lane))
    }
  }

  /// Of an image before the pool, and behind it.
  private func largeBytes(_ lane: Lane) -> Int { shape.height * shape.width * shape.inputChannels * lane.elementBytes }
  private func smallBytes(_ lane: Lane) -> Int {
    shape.outputHeight * shape.outputWidth * shape.inputChannels * lane.elementBytes
  }
}
