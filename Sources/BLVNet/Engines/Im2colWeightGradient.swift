// The gradient of 3x3 weights on small images: im2col and a GEMM.
import CKernels

/// Copies the receptive fields of some pixels into a matrix (im2col) and multiplies it as a 1x1 convolution's pixels
/// are multiplied. With many channels and few pixels this beats oneDNN's primitive, which spends half of its time
/// reordering the gradient.
struct Im2colWeightGradient {
  let bf16: Bool

  /// Pixels per tile.
  private static let tile = 256

  static func fits(_ shape: ConvolutionShape) -> Bool {
    shape.kernel == 3 && shape.inputChannels % 16 == 0 && shape.outputChannels % 16 == 0
  }

  /// Numbers that a float's room holds.
  private var packing: Int { bf16 ? 2 : 1 }

  /// In floats: the gradient in the matrix's order, the im2col matrix, and scratch for the GEMM.
  func workspaceCount(_ shape: ConvolutionShape) -> Int {
    shape.weightCount + Self.tile * (2 * shape.columns + shape.outputChannels) / packing
  }

  func weightGradient(
    _ shape: ConvolutionShape, images: Int, outputs: Range<Int>, src: UnsafeRawPointer, dDst: UnsafeRawPointer,
    dWeights: UnsafeMutablePointer<Float>, workspace: UnsafeMutablePointer<Float>
  ) {
    // im2col copies two bf16 channels as one float.
    var window = shape.window
    window.channels /= Int64(packing)
    let matrix = unsafe workspace + shape.weightCount
    let room = unsafe matrix + Self.tile * shape.columns / packing
    let (all, columns) = (shape.outputChannels, shape.columns)
    let total = images * shape.outputHeight * shape.outputWidth
    for first in stride(from: 0, to: total, by: Self.tile) {
      let rows = min(Self.tile, total - first)
      unsafe tamring_im2col(&window, src.assumingMemoryBound(to: Float.self), Int64(first), Int64(rows), matrix)
      let gradients = unsafe dDst + 4 / packing * (first * all + outputs.lowerBound)
      if bf16 {
        unsafe tamring_pointwise_weight_gradient_bf16(
          Int64(rows), Int64(outputs.count), Int64(all), Int64(columns), gradients, matrix, first > 0, room, workspace)
      } else {
        unsafe tamring_pointwise_weight_gradient(
          Int64(rows), Int64(outputs.count), Int64(all), Int64(columns), gradients.assumingMemoryBound(to: Float.self),
          matrix, first > 0, room, workspace)
      }
    }
    unsafe tamring_swap_inner(
      workspace, Int64(outputs.count), Int64(shape.kernel * shape.kernel), Int64(shape.inputChannels),
      dWeights + outputs.lowerBound * columns)
  }
}
