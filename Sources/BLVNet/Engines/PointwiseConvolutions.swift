// 1x1 convolutions as products of matrices, by our own kernels.
import CKernels

/// Reads images and their gradients where they lie, and fetches them ahead; only the weights are brought into a form.
struct PointwiseConvolutions {
  static func fits(_ shape: ConvolutionShape) -> Bool {
    shape.isPointwise && shape.inputChannels % 16 == 0 && shape.outputChannels % 16 == 0
  }

  /// The weights' form, or 256 pixels with their gradients.
  func workspaceCount(_ shape: ConvolutionShape) -> Int {
    max(shape.weightCount, 256 * (shape.inputChannels + shape.outputChannels))
  }

  func forward(
    _ shape: ConvolutionShape, images: Int, src: UnsafePointer<Float>, weights: UnsafePointer<Float>,
    finish: UnsafePointer<tamring_finish>?, dst: UnsafeMutablePointer<Float>, workspace: UnsafeMutablePointer<Float>
  ) {
    let (inputs, outputs) = (Int64(shape.inputChannels), Int64(shape.outputChannels))
    unsafe tamring_pointwise_forms(outputs, inputs, false, weights, finish?.pointee.scale, workspace)
    unsafe tamring_pointwise(
      pixels(shape, images), inputs, outputs, src, workspace, finish?.pointee.adds ?? false, finish, dst)
  }

  func dataGradient(
    _ shape: ConvolutionShape, images: Int, dDst: UnsafePointer<Float>, weights: UnsafePointer<Float>,
    accumulate: Bool, dSrc: UnsafeMutablePointer<Float>, workspace: UnsafeMutablePointer<Float>
  ) {
    let (inputs, outputs) = (Int64(shape.inputChannels), Int64(shape.outputChannels))
    unsafe tamring_pointwise_forms(outputs, inputs, true, weights, nil, workspace)
    unsafe tamring_pointwise(pixels(shape, images), outputs, inputs, dDst, workspace, accumulate, nil, dSrc)
  }

  func weightGradient(
    _ shape: ConvolutionShape, images: Int, src: UnsafePointer<Float>, dDst: UnsafePointer<Float>,
    dWeights: UnsafeMutablePointer<Float>, workspace: UnsafeMutablePointer<Float>
  ) {
    unsafe tamring_pointwise_slopes(
      pixels(shape, images), Int64(shape.outputChannels), Int64(shape.inputChannels), dDst, src, workspace, dWeights)
  }

  private func pixels(_ shape: ConvolutionShape, _ images: Int) -> Int64 { Int64(images * shape.height * shape.width) }
}
