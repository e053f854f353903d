// The shape of a convolution, and the protocol of the engines that compute it.
import CKernels
import Recipes
import Shared

/// A convolution with a square kernel and without bias, for one image size.
public struct ConvolutionShape: Sendable, Hashable {
  public let inputChannels: Int
  public let outputChannels: Int
  /// The side of the kernel, in taps.
  public let kernel: Int
  public let stride: Int
  public let padding: Int
  public let height: Int
  public let width: Int

  public init(
    inputChannels: Int, outputChannels: Int, kernel: Int, stride: Int, padding: Int, height: Int, width: Int
  ) {
    self.inputChannels = inputChannels
    self.outputChannels = outputChannels
    self.kernel = kernel
    self.stride = stride
    self.padding = padding
    self.height = height
    self.width = width
  }

  public var outputHeight: Int { (height + 2 * padding - kernel) / stride + 1 }
  public var outputWidth: Int { (width + 2 * padding - kernel) / stride + 1 }
  /// Elements of a source image, and of a result image.
  var inputCount: Int { height * width * inputChannels }
  var outputCount: Int { outputHeight * outputWidth * outputChannels }
  public var weightCount: Int { outputChannels * columns }
  /// Multiply-adds for one image.
  public var multiplyAdds: Int { outputHeight * outputWidth * weightCount }
  /// Terms of one output value: the columns of the im2col matrix.
  var columns: Int { inputChannels * kernel * kernel }
  /// Whether the convolution is a plain GEMM on the images as they are.
  var isPointwise: Bool { kernel == 1 && stride == 1 && padding == 0 }

  var window: tamring_window {
    tamring_window(
      height: Int64(height), width: Int64(width), channels: Int64(inputChannels), kernel: Int64(kernel),
      stride: Int64(stride), padding: Int64(padding), out_height: Int64(outputHeight), out_width: Int64(outputWidth))
  }
}

extension Recipe.Engine {
  /// The engine for float32.
  public func make() -> any FloatEngine {
    switch self {
    case .onednn: OneDNNEngine()
    case .openblas: OpenBLASEngine()
    }
  }
}

extension Recipe {
  /// The engine for this recipe's precision.
  /// - Throws: `BLVNetError(.badConfiguration)` if this processor can only emulate bf16, and the recipe does not ask
  ///   for that.
  public func makeEngine() throws -> any ConvolutionEngine { try makeEngine(hasBF16: BFloat16Engine.isSupported) }

  func makeEngine(hasBF16: Bool) throws -> any ConvolutionEngine {
    guard precision == .bf16 else { return engine.make() }
    if emulateBF16 { return EmulatedBFloat16Engine(engine.make()) }
    guard hasBF16 else {
      throw BLVNetError(
        .badConfiguration,
        "'precision: bf16' needs a processor with avx512_bf16 or amx_bf16, which this one lacks; "
          + "set 'precision: float32', or 'emulate_bf16: true', which is slower than float32")
    }
    return BFloat16Engine()
  }
}

/// Which of a convolution's three passes.
public enum ConvolutionDirection: String, Sendable, CaseIterable {
  case forward
  case data
  case weights
}

/// The epilogue that an evaluation fuses into a convolution: `tamring_epilogue` without its numbers.
public struct EpilogueKind: Sendable, Hashable {
  /// Whether it adds the sums to what the results already hold.
  public let adds: Bool
  public let relu: Bool
}

extension tamring_epilogue {
  var kind: EpilogueKind { unsafe EpilogueKind(adds: adds, relu: relu) }
}

/// Convolutions of NHWC images, forward and backward, on the calling thread alone. Images have the engine's precision;
/// weights and their gradients are always floats.
///
/// All lanes share an engine, so it keeps no state between calls: each call brings the workspace of its lane.
/// Results are a pure function of the arguments. **Shapes:** src, dSrc [images, H, W, I]; dst, dDst
/// [images, H', W', O]; weights, dWeights [O, I, k, k].
public protocol ConvolutionEngine: Sendable {
  /// The format of images and of their gradients, and so of all activations.
  var precision: Recipe.Precision { get }

  /// Builds what the engine needs for a shape and a number of images. Call it first; any thread may.
  /// - Returns: how many workspace elements such calls need.
  func prepare(_ shape: ConvolutionShape, images: Int) -> Int

  /// Prepares `forward` with an epilogue, the only call that an evaluation makes.
  func prepare(_ shape: ConvolutionShape, images: Int, epilogue: EpilogueKind) -> Int

  /// Whether threads can divide a pass without changing its bits: by images, or the weights' gradient by multiples of
  /// 16 outputs.
  func isSeparable(_ shape: ConvolutionShape, _ direction: ConvolutionDirection) -> Bool

  /// - Parameter epilogue: post-ops on the sums, if any. The engine may fold its scale into the weights.
  func forward(
    _ shape: ConvolutionShape, images: Int, src: UnsafeRawPointer, weights: UnsafePointer<Float>,
    epilogue: UnsafePointer<tamring_epilogue>?, dst: UnsafeMutableRawPointer, workspace: UnsafeMutablePointer<Float>)

  /// - Parameter accumulate: whether to add to `dSrc` or to write it.
  func dataGradient(
    _ shape: ConvolutionShape, images: Int, dDst: UnsafeRawPointer, weights: UnsafePointer<Float>,
    accumulate: Bool, dSrc: UnsafeMutableRawPointer, workspace: UnsafeMutablePointer<Float>)

  /// - Parameters:
  ///   - outputs: the outputs whose weights' gradient is wanted; all of them if the pass is not separable.
  ///   - dWeights: the gradient for all outputs.
  func weightGradient(
    _ shape: ConvolutionShape, images: Int, outputs: Range<Int>, src: UnsafeRawPointer, dDst: UnsafeRawPointer,
    dWeights: UnsafeMutablePointer<Float>, workspace: UnsafeMutablePointer<Float>)
}
