// Convolutions by oneDNN's primitives, and by our own kernels and OpenBLAS where those are faster.
import CKernels
import COneDNN

/// The default engine. docs/performance.md has the measurements behind its choices.
///
/// All lanes share one primitive for each shape, number of images and direction. Each lane brings its own scratch
/// memory, so the bits do not depend on who else runs it.
final class OneDNNEngine: FloatEngine {
  /// How one direction of a shape is computed.
  enum Method {
    /// oneDNN's primitive.
    case direct
    /// im2col and OpenBLAS.
    case product
    /// im2col and our own GEMM.
    case columns
    /// Our own GEMM, which reads the pixels in place.
    case pointwise
    /// Winograd's algorithm: a quarter or half of the multiplications.
    case winograd
    /// Winograd's algorithm over the phases of an image, for the first convolution.
    case stem
  }

  private let products = OpenBLASEngine()
  private let pointwise = PointwiseConvolutions(bf16: false)
  private let winograd = WinogradConvolutions(bf16: false)
  private let im2col = Im2colWeightGradient(bf16: false)
  private let stem = StemConvolution()
  private let winogradFrom: Int
  private let primitives = PrimitiveCache(bf16: false)

  /// - Parameter winogradFrom: the smallest result height for Winograd's algorithm. On smaller ones, tiles overhang the
  ///   image, and the transformed weights outweigh it.
  init(winogradFrom: Int = 7) { self.winogradFrom = winogradFrom }

  /// The choice depends on the shape alone, never on a measurement: machines that share a run must choose alike.
  private func method(_ shape: ConvolutionShape, _ direction: tamring_dnn_direction) -> Method {
    // There is less to gain in the backward pass at stride 2.
    let from = shape.stride == 2 && direction != TAMRING_DNN_FORWARD ? 2 * winogradFrom : winogradFrom
    if shape.outputHeight >= from {
      if WinogradConvolutions.fits(shape) { return .winograd }
      if StemConvolution.fits(shape), direction != TAMRING_DNN_DATA { return .stem }
    }
    if PointwiseConvolutions.fits(shape) { return .pointwise }
    switch direction {
    case TAMRING_DNN_FORWARD: return shape.kernel == 3 && shape.stride == 2 ? .product : .direct
    case TAMRING_DNN_WEIGHTS:
      if Im2colWeightGradient.fits(shape) { return .columns }
      return shape.kernel > 1 ? .product : .direct
    default: return .direct
    }
  }

  /// The libraries may block a GEMM according to its size. Our kernels give the same bits for any division.
  func isSeparable(_ shape: ConvolutionShape, _ direction: ConvolutionDirection) -> Bool {
    switch direction {
    case .forward: [.winograd, .pointwise, .stem].contains(method(shape, TAMRING_DNN_FORWARD))
    case .data: [.winograd, .pointwise].contains(method(shape, TAMRING_DNN_DATA))
    case .weights: [.winograd, .pointwise, .columns].contains(method(shape, TAMRING_DNN_WEIGHTS))
    }
  }

  func prepare(_ shape: ConvolutionShape, images: Int) -> Int {
    let directions = [TAMRING_DNN_FORWARD, TAMRING_DNN_DATA, TAMRING_DNN_WEIGHTS]
    let counts = directions.map { direction in
      switch method(shape, direction) {
      case .direct: primitives.find(shape, images, direction).workspaceCount
      case .product: 0
      case .columns: im2col.workspaceCount(shape)
      case .pointwise: pointwise.workspaceCount(shape)
      case .stem: stem.workspaceCount(shape)
      case .winograd: winograd.workspaceCount(shape, images: images)
      }
    }
    // Gradients that accumulate always go through im2col and OpenBLAS.
    return max(counts.max() ?? 0, products.prepare(shape, images: images))
  }

  func prepare(_ shape: ConvolutionShape, images: Int, epilogue: EpilogueKind) -> Int {
    switch method(shape, TAMRING_DNN_FORWARD) {
    case .direct: primitives.find(shape, images, TAMRING_DNN_FORWARD, epilogue: epilogue).workspaceCount
    case .product, .columns: products.prepare(shape, images: images, epilogue: epilogue)
    case .pointwise: pointwise.workspaceCount(shape)
    case .stem: stem.workspaceCount(shape)
    case .winograd: winograd.workspaceCount(shape, images: images)
    }
  }

  func forward(
    _ shape: ConvolutionShape, images: Int, src: UnsafePointer<Float>, weights: UnsafePointer<Float>,
    epilogue: UnsafePointer<tamring_epilogue>?, dst: UnsafeMutablePointer<Float>, workspace: UnsafeMutablePointer<Float>
  ) {
    switch method(shape, TAMRING_DNN_FORWARD) {
    case .winograd:
      unsafe winograd.forward(
        shape, images: images, src: src, weights: weights, epilogue: epilogue, dst: dst, workspace: workspace)
    case .product, .columns:
      unsafe products.forward(
        shape, images: images, src: src, weights: weights, epilogue: epilogue, dst: dst, workspace: workspace)
    case .pointwise:
      unsafe pointwise.forward(
        shape, images: images, src: src, weights: weights, epilogue: epilogue, dst: dst, workspace: workspace)
    case .stem:
      unsafe stem.forward(
        shape, images: images, src: src, weights: weights, epilogue: epilogue, dst: dst, workspace: workspace)
    case .direct:
      unsafe primitives.find(shape, images, TAMRING_DNN_FORWARD, epilogue: epilogue?.pointee.kind).run(
        UnsafeMutableRawPointer(mutating: src), weights, dst, epilogue: epilogue, workspace)
    }
  }

  func dataGradient(
    _ shape: ConvolutionShape, images: Int, dDst: UnsafePointer<Float>, weights: UnsafePointer<Float>,
    accumulate: Bool, dSrc: UnsafeMutablePointer<Float>, workspace: UnsafeMutablePointer<Float>
  ) {
    switch method(shape, TAMRING_DNN_DATA) {
    case .winograd:
      unsafe winograd.dataGradient(
        shape, images: images, dDst: dDst, weights: weights, accumulate: accumulate, dSrc: dSrc,
        workspace: workspace)
    case .pointwise:
      unsafe pointwise.dataGradient(
        shape, images: images, dDst: dDst, weights: weights, accumulate: accumulate, dSrc: dSrc,
        workspace: workspace)
    case .direct where !accumulate:
      unsafe primitives.find(shape, images, TAMRING_DNN_DATA).run(
        dSrc, weights, UnsafeMutableRawPointer(mutating: dDst), workspace)
    case .direct, .product, .columns, .stem:
      // No primitive adds to what is there.
      unsafe products.dataGradient(
        shape, images: images, dDst: dDst, weights: weights, accumulate: accumulate, dSrc: dSrc, workspace: workspace)
    }
  }

  func weightGradient(
    _ shape: ConvolutionShape, images: Int, outputs: Range<Int>, src: UnsafePointer<Float>, dDst: UnsafePointer<Float>,
    dWeights: UnsafeMutablePointer<Float>, workspace: UnsafeMutablePointer<Float>
  ) {
    switch method(shape, TAMRING_DNN_WEIGHTS) {
    case .winograd:
      unsafe winograd.weightGradient(
        shape, images: images, outputs: outputs, src: src, dDst: dDst, dWeights: dWeights, workspace: workspace)
    case .product:
      unsafe products.weightGradient(
        shape, images: images, outputs: outputs, src: src, dDst: dDst, dWeights: dWeights, workspace: workspace)
    case .columns:
      unsafe im2col.weightGradient(
        shape, images: images, outputs: outputs, src: src, dDst: dDst, dWeights: dWeights, workspace: workspace)
    case .pointwise:
      unsafe pointwise.weightGradient(
        shape, images: images, outputs: outputs, src: src, dDst: dDst, dWeights: dWeights, workspace: workspace)
    case .stem:
      unsafe stem.weightGradient(
        shape, images: images, src: src, dDst: dDst, dWeights: dWeights, workspace: workspace)
    case .direct:
      unsafe primitives.find(shape, images, TAMRING_DNN_WEIGHTS).run(
        UnsafeMutableRawPointer(mutating: src), gradient: dWeights, UnsafeMutableRawPointer(mutating: dDst), workspace)
    }
  }
}
