// The max pool behind a ResNet's stem.
import CKernels

/// The maximum over 3x3 windows, stride 2, padding 1; the padding never wins. The gradient goes to the first of equal
/// maxima, row by row, as in PyTorch. A NaN in a window is its maximum.
/// **Shapes:** src [N·frames, H, W, C], dst [N·frames, H', W', C].
struct MaxPool: Layer {
  let name: String
  let shape: ConvolutionShape
  let frames: Int
  let src: Int
  let dst: Int

  var sources: [Int] { [src] }
  var results: [Int] { [dst] }
  var kept: [Int] { [src, dst] }

  func forward(_ lane: Lane) {
    let (small, large, bytes) = unsafe (lane.value(dst), lane.value(src), lane.elementBytes)
    lane.team.part(lane.clips * frames) { images, _ in
      var window = shape.window
      unsafe tamring_max_pool(
        lane.bf16, &window, Int64(images.count), large + images.lowerBound * shape.inputCount * bytes,
        small + images.lowerBound * shape.outputCount * bytes)
    }
  }

  func backward(_ lane: Lane, _ roles: [GradientRole], _ sink: GradientSink) throws {
    guard roles[0] != .none else { return }
    let (x, y, bytes) = unsafe (lane.value(src), lane.value(dst), lane.elementBytes)
    let (dSrc, dDst) = unsafe (lane.gradient(src), lane.gradient(dst))
    lane.team.part(lane.clips * frames) { images, _ in
      let (large, small) = (images.lowerBound * shape.inputCount * bytes, images.lowerBound * shape.outputCount * bytes)
      var window = shape.window
      unsafe tamring_max_pool_gradient(
        lane.bf16, &window, Int64(images.count), x + large, y + small, dDst + small, roles[0] == .accumulate,
        dSrc + large)
    }
  }
}
