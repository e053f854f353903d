// bfloat16 on processors without it: converts to float32 and convolves with another engine.
import CKernels
import Recipes
import Shared

/// Converts images to float32, and rounds weights and results to bf16. It computes what `BFloat16Engine` computes,
/// except for the order of the sums, runs everywhere, and is the reference that `BFloat16Engine` is tested against.
struct EmulatedBFloat16Engine: ConvolutionEngine {
  private let engine: any FloatEngine

  init(_ engine: any FloatEngine) { self.engine = engine }

  var precision: Recipe.Precision { .bf16 }

  /// The workspace holds the images before and after, the weights, and the workspace of the other engine.
  private typealias Room = (
    src: UnsafeMutablePointer<Float>, dst: UnsafeMutablePointer<Float>, weights: UnsafeMutablePointer<Float>,
    rest: UnsafeMutablePointer<Float>
  )

  private func srcCount(_ shape: ConvolutionShape, _ images: Int) -> Int {
    images * shape.inputCount
  }

  private func dstCount(_ shape: ConvolutionShape, _ images: Int) -> Int {
    images * shape.outputCount
  }

  /// Whole cache lines.
  private func aligned(_ count: Int) -> Int { (count + 15) & ~15 }

  func prepare(_ shape: ConvolutionShape, images: Int) -> Int {
    aligned(srcCount(shape, images)) + aligned(dstCount(shape, images)) + aligned(shape.weightCount)
      + engine.prepare(shape, images: images)
  }

  func prepare(_ shape: ConvolutionShape, images: Int, epilogue: EpilogueKind) -> Int {
    aligned(srcCount(shape, images)) + aligned(dstCount(shape, images)) + 2 * aligned(shape.weightCount)
      + aligned(shape.outputChannels) + engine.prepare(shape, images: images, epilogue: epilogue)
  }

  private func room(_ shape: ConvolutionShape, _ images: Int, _ workspace: UnsafeMutablePointer<Float>) -> Room {
    let dst = unsafe workspace + aligned(srcCount(shape, images))
    let weights = unsafe dst + aligned(dstCount(shape, images))
    return unsafe (workspace, dst, weights, weights + aligned(shape.weightCount))
  }

  func isSeparable(_ shape: ConvolutionShape, _ direction: ConvolutionDirection) -> Bool {
    engine.isSeparable(shape, direction)
  }

  func forward(
    _ shape: ConvolutionShape, images: Int, src: UnsafeRawPointer, weights: UnsafePointer<Float>,
    epilogue: UnsafePointer<tamring_epilogue>?, dst: UnsafeMutableRawPointer, workspace: UnsafeMutablePointer<Float>
  ) {
    let room = unsafe room(shape, images, workspace)
    unsafe tamring_from_bf16(src, Int64(srcCount(shape, images)), room.src)
    if let epilogue = unsafe epilogue {
      // Weights are rounded with the scale in them, so that nothing is left to scale.
      let (ones, scaled) = unsafe (room.rest, room.rest + aligned(shape.outputChannels))
      unsafe ones.update(repeating: 1, count: shape.outputChannels)
      unsafe tamring_scale_weights(epilogue, Int64(shape.outputChannels), Int64(shape.columns), weights, scaled)
      unsafe tamring_round_to_bf16(scaled, Int64(shape.weightCount), room.weights)
      var inner = unsafe epilogue.pointee
      unsafe inner.scale = UnsafePointer(ones)
      if unsafe inner.adds { unsafe tamring_from_bf16(dst, Int64(dstCount(shape, images)), room.dst) }
      unsafe engine.forward(
        shape, images: images, src: UnsafePointer(room.src), weights: room.weights, epilogue: &inner, dst: room.dst,
        workspace: scaled + aligned(shape.weightCount))
    } else {
      unsafe tamring_round_to_bf16(weights, Int64(shape.weightCount), room.weights)
      unsafe engine.forward(
        shape, images: images, src: UnsafePointer(room.src), weights: room.weights, epilogue: nil, dst: room.dst,
        workspace: room.rest)
    }
    unsafe tamring_to_bf16(room.dst, Int64(dstCount(shape, images)), dst)
  }

  func dataGradient(
    _ shape: ConvolutionShape, images: Int, dDst: UnsafeRawPointer, weights: UnsafePointer<Float>, accumulate: Bool,
    dSrc: UnsafeMutableRawPointer, workspace: UnsafeMutablePointer<Float>
  ) {
    let room = unsafe room(shape, images, workspace)
    unsafe tamring_from_bf16(dDst, Int64(dstCount(shape, images)), room.dst)
    unsafe tamring_round_to_bf16(weights, Int64(shape.weightCount), room.weights)
    if accumulate { unsafe tamring_from_bf16(dSrc, Int64(srcCount(shape, images)), room.src) }
    unsafe engine.dataGradient(
      shape, images: images, dDst: UnsafePointer(room.dst), weights: room.weights, accumulate: accumulate,
      dSrc: room.src, workspace: room.rest)
    unsafe tamring_to_bf16(room.src, Int64(srcCount(shape, images)), dSrc)
  }

  func weightGradient(
    _ shape: ConvolutionShape, images: Int, outputs: Range<Int>, src: UnsafeRawPointer, dDst: UnsafeRawPointer,
    dWeights: UnsafeMutablePointer<Float>, workspace: UnsafeMutablePointer<Float>
  ) {
    let room = unsafe room(shape, images, workspace)
    unsafe tamring_from_bf16(src, Int64(srcCount(shape, images)), room.src)
    unsafe tamring_from_bf16(dDst, Int64(dstCount(shape, images)), room.dst)
    unsafe engine.weightGradient(
      shape, images: images, outputs: outputs, src: UnsafePointer(room.src), dDst: UnsafePointer(room.dst),
      dWeights: dWeights, workspace: room.rest)
  }
}
