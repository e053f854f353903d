// Convolutions by oneDNN's primitives, and as matrix products where those are faster.
import CKernels
import COneDNN

/// The default engine. **Source** of the choices: the figures in docs/performance.md.
///
/// A primitive is made once for a shape, a number of images and a direction, and shared by all lanes: each brings its
/// own scratch, so that the bits do not depend on who else runs it.
final class OneDNNEngine: FloatEngine {
  /// How one direction of a shape is computed.
  enum Method {
    /// A primitive of oneDNN on the images as they are.
    case direct
    /// OpenBLAS, on windows gathered a tile at a time.
    case product
    /// Our own products, of pixels where they lie.
    case pointwise
    /// A quarter or half of the multiplications.
    case winograd
    /// The same over the phases of an image: the first convolution.
    case stem
  }

  private let products = OpenBLASEngine()
  private let pointwise = PointwiseConvolutions(bf16: false)
  private let winograd = WinogradConvolutions(bf16: false)
  private let stem = StemConvolution()
  private let winogradFrom: Int
  private let primitives = PrimitiveCache(bf16: false)

  /// - Parameter winogradFrom: the smallest height of a result at which tiles are worth it: on a smaller one they
  ///   stand over, and the weights' forms are more than the images.
  init(winogradFrom: Int = 7) { self.winogradFrom = winogradFrom }

  /// The choice depends on the shape alone, never on a clock: machines that share a run must choose alike.
  private func method(_ shape: ConvolutionShape, _ direction: tamring_dnn_direction) -> Method {
    // Going back at stride 2 there is less to gain.
    let from = shape.stride == 2 && direction != TAMRING_DNN_FORWARD ? 2 * winogradFrom : winogradFrom
    if shape.outputHeight >= from {
      if WinogradConvolutions.fits(shape) { return .winograd }
      if StemConvolution.fits(shape), direction != TAMRING_DNN_DATA { return .stem }
    }
    if PointwiseConvolutions.fits(shape) { return .pointwise }
    switch direction {
    case TAMRING_DNN_FORWARD: return shape.kernel == 3 && shape.stride == 2 ? .product : .direct
    case TAMRING_DNN_WEIGHTS: return shape.kernel > 1 ? .product : .direct
    default: return .direct
    }
  }

  /// The libraries may cut a product as its size suits them; ours are the same however they are cut.
  func isSeparable(_ shape: ConvolutionShape, _ direction: ConvolutionDirection) -> Bool {
    switch direction {
    case .forward: [.winograd, .pointwise, .stem].contains(method(shape, TAMRING_DNN_FORWARD))
    case .data: [.winograd, .pointwise].contains(method(shape, TAMRING_DNN_DATA))
    case .weights: [.winograd, .pointwise].contains(method(shape, TAMRING_DNN_WEIGHTS))
    }
  }

  func prepare(_ shape: ConvolutionShape, images: Int) -> Int {
    let directions = [TAMRING_DNN_FORWARD, TAMRING_DNN_DATA, TAMRING_DNN_WEIGHTS]
    let counts = directions.map { direction in
      switch method(shape, direction) {
      case .direct: primitives.find(shape, images, direction).workspaceCount
      case .product: 0
      case .pointwise: pointwise.workspaceCount(shape)
      case .stem: stem.workspaceCount(shape)
      case .winograd: winograd.workspaceCount(shape, images: images)
      }
    }
    // Gradients that are added to others are always products.
    return max(counts.max() ?? 0, products.prepare(shape, images: images))
  }

  func prepare(_ shape: ConvolutionShape, images: Int, epilogue: EpilogueKind) -> Int {
    switch method(shape, TAMRING_DNN_FORWARD) {
    case .direct: primitives.find(shape, images, TAMRING_DNN_FORWARD, epilogue: epilogue).workspaceCount
    case .product: products.prepare(shape, images: images, epilogue: epilogue)
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
    case .product:
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
    case .direct, .product, .stem:
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
