// The gradient of the weights of windows on small images, in bfloat16, as a product of matrices.
import CKernels

/// Gathers the windows of some pixels and multiplies them as a 1x1 convolution's pixels are. With many channels and few
/// pixels this is faster than the library's primitive, whose form of the gradient costs as much as the rest.
struct WindowGradient {
  /// Pixels at a time.
  private static let tile = 256

  static func fits(_ shape: ConvolutionShape) -> Bool {
    shape.kernel == 3 && shape.inputChannels % 16 == 0 && shape.outputChannels % 16 == 0 && shape.outputHeight <= 7
  }

  /// In floats: the gradient as windows lie, the gathered windows, and room for the product.
  func workspaceCount(_ shape: ConvolutionShape) -> Int {
    shape.weightCount + Self.tile * (2 * shape.columns + shape.outputChannels) / 2
  }

  func weightGradient(
    _ shape: ConvolutionShape, images: Int, outputs: Range<Int>, src: UnsafeRawPointer, dDst: UnsafeRawPointer,
    dWeights: UnsafeMutablePointer<Float>, workspace: UnsafeMutablePointer<Float>
  ) {
    // Two channels are copied as one float.
    var window = shape.window
    window.channels /= 2
    let gathered = unsafe workspace + shape.weightCount
    let room = unsafe gathered + Self.tile * shape.columns / 2
    let (all, columns) = (shape.outputChannels, shape.columns)
    let total = images * shape.outputHeight * shape.outputWidth
    for first in stride(from: 0, to: total, by: Self.tile) {
      let rows = min(Self.tile, total - first)
      unsafe tamring_im2col(&window, src.assumingMemoryBound(to: Float.self), Int64(first), Int64(rows), gathered)
      unsafe tamring_pointwise_weight_gradient_bf16(
        Int64(rows), Int64(outputs.count), Int64(all), Int64(columns), dDst + 2 * (first * all + outputs.lowerBound),
        gathered, first > 0, room, workspace)
    }
    unsafe tamring_swap_inner(
      workspace, Int64(outputs.count), Int64(shape.kernel * shape.kernel), Int64(shape.inputChannels),
      dWeights + outputs.lowerBound * columns)
  }
}
