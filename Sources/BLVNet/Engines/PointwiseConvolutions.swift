// 1x1 convolutions as GEMMs, by our own kernels.
import CKernels

/// Reads images and their gradients in place, with prefetching, and packs only the weights. Images are floats or, on a
/// processor with bf16 instructions, bf16; then the packed weights are rounded to bf16.
struct PointwiseConvolutions {
  let bf16: Bool

  static func fits(_ shape: ConvolutionShape) -> Bool {
    shape.isPointwise && shape.inputChannels % 16 == 0 && shape.outputChannels % 16 == 0
  }

  /// Room for the packed weights, or for 256 pixels and their gradients.
  func workspaceCount(_ shape: ConvolutionShape) -> Int {
    max(shape.weightCount, 256 * (shape.inputChannels + shape.outputChannels))
  }

  func forward(
    _ shape: ConvolutionShape, images: Int, src: UnsafeRawPointer, weights: UnsafePointer<Float>,
    epilogue: UnsafePointer<tamring_epilogue>?, dst: UnsafeMutableRawPointer, workspace: UnsafeMutablePointer<Float>
  ) {
    unsafe multiply(
      shape, images, back: false, from: src, to: dst, weights, accumulate: epilogue?.pointee.adds ?? false, epilogue,
      workspace)
  }

  func dataGradient(
    _ shape: ConvolutionShape, images: Int, dDst: UnsafeRawPointer, weights: UnsafePointer<Float>,
    accumulate: Bool, dSrc: UnsafeMutableRawPointer, workspace: UnsafeMutablePointer<Float>
  ) {
    unsafe multiply(shape, images, back: true, from: dDst, to: dSrc, weights, accumulate: accumulate, nil, workspace)
  }

  private func multiply(
    _ shape: ConvolutionShape, _ images: Int, back: Bool, from src: UnsafeRawPointer,
    to dst: UnsafeMutableRawPointer, _ weights: UnsafePointer<Float>, accumulate: Bool,
    _ epilogue: UnsafePointer<tamring_epilogue>?, _ workspace: UnsafeMutablePointer<Float>
  ) {
    let (inputs, outputs) = (Int64(shape.inputChannels), Int64(shape.outputChannels))
    let (from, to) = back ? (outputs, inputs) : (inputs, outputs)
    let scale = unsafe epilogue?.pointee.scale
    if bf16 {
      unsafe tamring_pointwise_pack_bf16(outputs, inputs, back, weights, scale, workspace)
      unsafe tamring_pointwise_bf16(pixels(shape, images), from, to, src, workspace, accumulate, epilogue, dst)
    } else {
      unsafe tamring_pointwise_pack(outputs, inputs, back, weights, scale, workspace)
      unsafe tamring_pointwise(
        pixels(shape, images), from, to, src.assumingMemoryBound(to: Float.self), workspace, accumulate, epilogue,
        dst.assumingMemoryBound(to: Float.self))
    }
  }

  func weightGradient(
    _ shape: ConvolutionShape, images: Int, outputs: Range<Int>, src: UnsafeRawPointer, dDst: UnsafeRawPointer,
    dWeights: UnsafeMutablePointer<Float>, workspace: UnsafeMutablePointer<Float>
  ) {
    let (inputs, all, count) = (Int64(shape.inputChannels), Int64(shape.outputChannels), Int64(outputs.count))
    let result = unsafe dWeights + outputs.lowerBound * shape.inputChannels
    if bf16 {
      unsafe tamring_pointwise_weight_gradient_bf16(
        pixels(shape, images), count, all, inputs, dDst + 2 * outputs.lowerBound, src, false, workspace, result)
    } else {
      unsafe tamring_pointwise_weight_gradient(
        pixels(shape, images), count, all, inputs, dDst.assumingMemoryBound(to: Float.self) + outputs.lowerBound,
        src.assumingMemoryBound(to: Float.self), false, workspace, result)
    }
  }

  private func pixels(_ shape: ConvolutionShape, _ images: Int) -> Int64 { Int64(images * shape.height * shape.width) }
}
