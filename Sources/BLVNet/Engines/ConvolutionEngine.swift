// What a convolution needs to know, and what an engine must be able to do with it.
import CKernels
import Shared

/// A convolution of square windows without bias, on one image size.
public struct ConvolutionShape: Sendable, Hashable {
  public let inputChannels: Int
  public let outputChannels: Int
  /// Taps of a side of the window.
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
  /// Elements of an image before the convolution, and behind it.
  var inputCount: Int { height * width * inputChannels }
  var outputCount: Int { outputHeight * outputWidth * outputChannels }
  public var weightCount: Int { outputChannels * columns }
  /// Multiply-adds for one image.
  public var multiplyAdds: Int { outputHeight * outputWidth * weightCount }
  /// Inputs of one output value.
  var columns: Int { inputChannels * kernel * kernel }
  /// A product of matrices, as it stands in memory.
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
  /// The engine of this recipe's precision.
  /// - Throws: `BLVNetError(.badConfiguration)` if this processor would only emulate it, and the recipe does not ask
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

/// One of a convolution's three products.
public enum ConvolutionDirection: String, Sendable, CaseIterable {
  case forward
  case data
  case weights
}

/// What an evaluation does with a convolution's sums in the same pass: `tamring_epilogue` without its numbers.
public struct EpilogueKind: Sendable, Hashable {
  /// To what the results held before.
  public let adds: Bool
  public let relu: Bool
}

extension tamring_epilogue {
  var kind: EpilogueKind { unsafe EpilogueKind(adds: adds, relu: relu) }
}

/// Convolutions of NHWC images, forward and backward, on the calling thread alone. Images are numbers of the engine's
/// precision; weights and their gradients are floats always.
///
/// An engine is shared by all lanes, so it keeps nothing of a call: every call brings a workspace of its lane's own.
/// Results are a pure function of the arguments. **Shapes:** src, dSrc [images, H, W, I]; dst, dDst
/// [images, H', W', O]; weights, dWeights [O, I, k, k].
public protocol ConvolutionEngine: Sendable {
  /// The format of images and of their gradients, and so of all activations.
  var precision: Recipe.Precision { get }

  /// Called before anything else, on any thread, for each shape and number of images, so that an engine can build what
  /// it needs.
  /// - Returns: elements of the workspace that such calls need.
  func prepare(_ shape: ConvolutionShape, images: Int) -> Int

  /// The same for `forward` with such an epilogue, which is all that an evaluation calls.
  func prepare(_ shape: ConvolutionShape, images: Int, epilogue: EpilogueKind) -> Int

  /// Whether a call can be parted among threads to the same bits: by images or, where it is the weights' gradient, by
  /// outputs in sixteens.
  func isSeparable(_ shape: ConvolutionShape, _ direction: ConvolutionDirection) -> Bool

  /// - Parameter epilogue: what is done with the sums, where it is given; its scale may be taken into the weights.
  func forward(
    _ shape: ConvolutionShape, images: Int, src: UnsafeRawPointer, weights: UnsafePointer<Float>,
    epilogue: UnsafePointer<tamring_epilogue>?, dst: UnsafeMutableRawPointer, workspace: UnsafeMutablePointer<Float>)

  /// - Parameter accumulate: whether to add to `dSrc` or to write it.
  func dataGradient(
    _ shape: ConvolutionShape, images: Int, dDst: UnsafeRawPointer, weights: UnsafePointer<Float>,
    accumulate: Bool, dSrc: UnsafeMutableRawPointer, workspace: UnsafeMutablePointer<Float>)

  /// - Parameters:
  ///   - outputs: those whose weights' gradient is wanted; all of them where that is not separable.
  ///   - dWeights: of all outputs.
  func weightGradient(
    _ shape: ConvolutionShape, images: Int, outputs: Range<Int>, src: UnsafeRawPointer, dDst: UnsafeRawPointer,
    dWeights: UnsafeMutablePointer<Float>, workspace: UnsafeMutablePointer<Float>)
}
