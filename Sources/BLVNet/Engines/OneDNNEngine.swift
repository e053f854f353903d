// Convolutions by oneDNN's primitives, and as matrix products where those are faster.
import COneDNN
import Shared
import Synchronization

/// The default engine. **Source** of the choices: the figures in docs/performance.md.
///
/// A primitive is made once for a shape, a number of images and a direction, and shared by all lanes: each brings its
/// own scratch, so that the bits do not depend on who else runs it.
final class OneDNNEngine: ConvolutionEngine {
  /// How one direction of a shape is computed.
  enum Method {
    /// A primitive of oneDNN on the images as they are.
    case direct
    /// OpenBLAS, on windows gathered a tile at a time.
    case product
    /// A quarter or half of the multiplications.
    case winograd
    /// Windows' rows as they lie in the image: the weights of the stem.
    case rows
  }

  private struct Key: Hashable {
    var shape: ConvolutionShape
    var images: Int
    var direction: UInt32
  }

  private let products = OpenBLASEngine()
  private let winograd = WinogradConvolutions()
  private let stem = StemGradient()
  private let winogradFrom: Int
  private let primitives = Mutex<[Key: Primitive]>([:])

  /// - Parameter winogradFrom: the smallest height of a result at which tiles are worth it: on a smaller one they
  ///   stand over, and the weights' forms are more than the images.
  init(winogradFrom: Int = 7) { self.winogradFrom = winogradFrom }

  /// The choice depends on the shape alone, never on a clock: machines that share a run must choose alike.
  private func method(_ shape: ConvolutionShape, _ direction: tamring_dnn_direction) -> Method {
    // Going back at stride 2 there is less to gain.
    let from = shape.stride == 2 && direction != TAMRING_DNN_FORWARD ? 2 * winogradFrom : winogradFrom
    if shape.outputHeight >= from, WinogradConvolutions.fits(shape) { return .winograd }
    switch direction {
    case TAMRING_DNN_FORWARD:
      // The library's form of many weights costs more than it gains on few images.
      let isHeavy = shape.isPointwise && shape.weightCount >= 1 << 20 && shape.outputHeight <= 7
      return isHeavy || (shape.kernel == 3 && shape.stride == 2) ? .product : .direct
    case TAMRING_DNN_WEIGHTS:
      if StemGradient.fits(shape) { return .rows }
      let narrow = min(shape.inputChannels, shape.outputChannels)
      let isLarge = narrow >= 128 && shape.inputChannels * shape.outputChannels > 65_536
      return shape.kernel > 1 || isLarge ? .product : .direct
    default: return .direct
    }
  }

  private func primitive(
    _ shape: ConvolutionShape, _ images: Int, _ direction: tamring_dnn_direction
  ) -> Primitive {
    let key = Key(shape: shape, images: images, direction: direction.rawValue)
    if let made = primitives.withLock({ $0[key] }) { return made }
    let made = Primitive(shape, images, direction)
    return primitives.withLock { all in
      // Another lane may have been first.
      let kept = all[key] ?? made
      all[key] = kept
      return kept
    }
  }

  func prepare(_ shape: ConvolutionShape, images: Int) -> Int {
    let directions = [TAMRING_DNN_FORWARD, TAMRING_DNN_DATA, TAMRING_DNN_WEIGHTS]
    let counts = directions.map { direction in
      switch method(shape, direction) {
      case .direct: primitive(shape, images, direction).workspaceCount
      case .product: 0
      case .rows: stem.workspaceCount(shape)
      case .winograd: winograd.workspaceCount(shape, images: images)
      }
    }
    // Gradients that are added to others are always products.
    return max(counts.max() ?? 0, products.prepare(shape, images: images))
  }

  func forward(
    _ shape: ConvolutionShape, images: Int, src: UnsafePointer<Float>, weights: UnsafePointer<Float>,
    dst: UnsafeMutablePointer<Float>, workspace: UnsafeMutablePointer<Float>
  ) {
    switch method(shape, TAMRING_DNN_FORWARD) {
    case .winograd:
      unsafe winograd.forward(
        shape, images: images, src: src, weights: weights, dst: dst, workspace: workspace)
    case .product:
      unsafe products.forward(shape, images: images, src: src, weights: weights, dst: dst, workspace: workspace)
    case .direct, .rows:
      unsafe primitive(shape, images, TAMRING_DNN_FORWARD).run(
        UnsafeMutablePointer(mutating: src), weights, dst, workspace)
    }
  }

  func dataGradient(
    _ shape: ConvolutionShape, images: Int, dDst: UnsafePointer<Float>, weights: UnsafePointer<Float>,
    accumulate: Bool, dSrc: UnsafeMutablePointer<Float>, workspace: UnsafeMutablePointer<Float>
  ) {
    if method(shape, TAMRING_DNN_DATA) == .winograd {
      return unsafe winograd.dataGradient(
        shape, images: images, dDst: dDst, weights: weights, accumulate: accumulate, dSrc: dSrc,
        workspace: workspace)
    }
    if accumulate {
      // No primitive adds to what is there.
      return unsafe products.dataGradient(
        shape, images: images, dDst: dDst, weights: weights, accumulate: true, dSrc: dSrc, workspace: workspace)
    }
    unsafe primitive(shape, images, TAMRING_DNN_DATA).run(
      dSrc, weights, UnsafeMutablePointer(mutating: dDst), workspace)
  }

  func weightGradient(
    _ shape: ConvolutionShape, images: Int, src: UnsafePointer<Float>, dDst: UnsafePointer<Float>,
    dWeights: UnsafeMutablePointer<Float>, workspace: UnsafeMutablePointer<Float>
  ) {
    switch method(shape, TAMRING_DNN_WEIGHTS) {
    case .winograd:
      unsafe winograd.weightGradient(
        shape, images: images, src: src, dDst: dDst, dWeights: dWeights, workspace: workspace)
    case .product:
      unsafe products.weightGradient(
        shape, images: images, src: src, dDst: dDst, dWeights: dWeights, workspace: workspace)
    case .rows:
      unsafe stem.weightGradient(
        shape, images: images, src: src, dDst: dDst, dWeights: dWeights, workspace: workspace)
    case .direct:
      unsafe primitive(shape, images, TAMRING_DNN_WEIGHTS).run(
        UnsafeMutablePointer(mutating: src), gradient: dWeights, UnsafeMutablePointer(mutating: dDst), workspace)
    }
  }
}

/// A primitive of oneDNN; constant. Its workspace holds its form of the weights, then its scratch.
@safe private final class Primitive: Sendable {
  nonisolated(unsafe) private let handle: OpaquePointer
  private let formCount: Int
  let workspaceCount: Int

  init(_ shape: ConvolutionShape, _ images: Int, _ direction: tamring_dnn_direction) {
    var wanted = tamring_dnn_shape(
      images: Int64(images), inputs: Int64(shape.inputChannels), outputs: Int64(shape.outputChannels),
      kernel: Int64(shape.kernel), stride: Int64(shape.stride), padding: Int64(shape.padding),
      height: Int64(shape.height), width: Int64(shape.width))
    guard let made = unsafe tamring_dnn_create(&wanted, direction) else {
      preconditionFailure("oneDNN has no convolution for \(shape)")
    }
    unsafe handle = made
    formCount = unsafe Int(tamring_dnn_form_bytes(made)) / 4
    workspaceCount = unsafe formCount + Int(tamring_dnn_scratch_bytes(made)) / 4
  }

  deinit { unsafe tamring_dnn_destroy(handle) }

  /// Forward, or the data's gradient. Weights are brought into form for each call: a lane needs each form once.
  func run(
    _ images: UnsafeMutablePointer<Float>, _ weights: UnsafePointer<Float>, _ results: UnsafeMutablePointer<Float>,
    _ workspace: UnsafeMutablePointer<Float>
  ) {
    let works =
      unsafe tamring_dnn_arrange(handle, weights, workspace)
      && tamring_dnn_run(handle, images, workspace, results, workspace + formCount)
    precondition(works, "a convolution of oneDNN failed")
  }

  func run(
    _ images: UnsafeMutablePointer<Float>, gradient: UnsafeMutablePointer<Float>,
    _ results: UnsafeMutablePointer<Float>, _ workspace: UnsafeMutablePointer<Float>
  ) {
    let works =
      unsafe tamring_dnn_run(handle, images, workspace, results, workspace + formCount)
      && tamring_dnn_arrange(handle, workspace, gradient)
    precondition(works, "a convolution of oneDNN failed")
  }
}
