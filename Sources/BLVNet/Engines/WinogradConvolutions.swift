// 3x3 convolutions by Winograd's minimal filtering F(4x4, 3x3): a quarter of the multiplications.
import CKernels

/// Transforms tiles of 6x6 inputs to 36 points, multiplies matrices there, and transforms back.
///
/// **Source:** Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016. Its results differ from
/// those of a direct convolution by about 1e-6 of the largest.
struct WinogradConvolutions {
  private static let points = 36

  static func fits(_ shape: ConvolutionShape) -> Bool {
    shape.kernel == 3 && shape.stride == 1 && shape.padding == 1 && shape.inputChannels % 16 == 0
      && shape.outputChannels % 16 == 0
  }

  private func tileCount(_ shape: ConvolutionShape, _ images: Int) -> Int {
    images * ((shape.height + 3) / 4) * ((shape.width + 3) / 4)
  }

  /// Tiles at a time: few enough for the caches, enough to make the products worth their while.
  private func blockSize(_ shape: ConvolutionShape, _ images: Int) -> Int {
    let most = max(128, 16_384 / (shape.inputChannels + shape.outputChannels))
    let total = tileCount(shape, images)
    let blocks = (total + most - 1) / most
    return (total + blocks - 1) / blocks
  }

  func workspaceCount(_ shape: ConvolutionShape, images: Int) -> Int {
    let channels = shape.inputChannels + shape.outputChannels
    return Self.points * (blockSize(shape, images) * channels + shape.inputChannels * shape.outputChannels)
  }

  func forward(
    _ shape: ConvolutionShape, images: Int, src: UnsafePointer<Float>, weights: UnsafePointer<Float>,
    dst: UnsafeMutablePointer<Float>, workspace: UnsafeMutablePointer<Float>
  ) {
    let (inputs, outputs) = (shape.inputChannels, shape.outputChannels)
    let form = unsafe workspace
    unsafe tamring_winograd_weights(weights, Int64(outputs), Int64(inputs), false, form)
    unsafe convolve(
      shape, images, from: src, inputs, to: dst, outputs, accumulate: false, workspace
    ) { point, tiles, a, b in
      unsafe multiply(
        tiles, outputs, inputs, a, inputs, false, form + point * inputs * outputs, inputs, true, 0, b)
    }
  }

  func dataGradient(
    _ shape: ConvolutionShape, images: Int, dDst: UnsafePointer<Float>, weights: UnsafePointer<Float>,
    accumulate: Bool, dSrc: UnsafeMutablePointer<Float>, workspace: UnsafeMutablePointer<Float>
  ) {
    let (inputs, outputs) = (shape.inputChannels, shape.outputChannels)
    let turned = unsafe workspace
    unsafe tamring_winograd_weights(weights, Int64(outputs), Int64(inputs), true, turned)
    unsafe convolve(
      shape, images, from: dDst, outputs, to: dSrc, inputs, accumulate: accumulate, workspace
    ) { point, tiles, a, b in
      unsafe multiply(
        tiles, inputs, outputs, a, outputs, false, turned + point * inputs * outputs, inputs, false, 0, b)
    }
  }

  /// - Parameters:
  ///   - workspace: begins with the weights' points.
  ///   - product: gets a point, the tiles, and matrices [tiles, fromChannels] and [tiles, toChannels].
  private func convolve(
    _ shape: ConvolutionShape, _ images: Int, from src: UnsafePointer<Float>, _ fromChannels: Int,
    to dst: UnsafeMutablePointer<Float>, _ toChannels: Int, accumulate: Bool,
    _ workspace: UnsafeMutablePointer<Float>,
    _ product: (Int, Int, UnsafePointer<Float>, UnsafeMutablePointer<Float>) -> Void
  ) {
    var (read, written) = (window(shape, fromChannels), window(shape, toChannels))
    forEachBlock(shape, images) { first, tiles in
      let a = unsafe workspace + Self.points * fromChannels * toChannels
      let b = unsafe a + Self.points * tiles * fromChannels
      unsafe tamring_winograd_inputs(&read, src, Int64(first), Int64(tiles), a)
      for point in 0..<Self.points {
        unsafe product(point, tiles, a + point * tiles * fromChannels, b + point * tiles * toChannels)
      }
      unsafe tamring_winograd_outputs(&written, b, Int64(first), Int64(tiles), accumulate, dst)
    }
  }

  func weightGradient(
    _ shape: ConvolutionShape, images: Int, src: UnsafePointer<Float>, dDst: UnsafePointer<Float>,
    dWeights: UnsafeMutablePointer<Float>, workspace: UnsafeMutablePointer<Float>
  ) {
    let (inputs, outputs) = (shape.inputChannels, shape.outputChannels)
    var (read, slopes) = (window(shape, inputs), window(shape, outputs))
    let sums = unsafe workspace
    forEachBlock(shape, images) { first, tiles in
      let a = unsafe sums + Self.points * inputs * outputs
      let b = unsafe a + Self.points * tiles * inputs
      unsafe tamring_winograd_inputs(&read, src, Int64(first), Int64(tiles), a)
      unsafe tamring_winograd_slopes(&slopes, dDst, Int64(first), Int64(tiles), b)
      for point in 0..<Self.points {
        unsafe multiply(
          outputs, inputs, tiles, b + point * tiles * outputs, outputs, true, a + point * tiles * inputs, inputs,
          false, first == 0 ? 0 : 1, sums + point * inputs * outputs)
      }
    }
    unsafe tamring_winograd_weight_slopes(sums, Int64(outputs), Int64(inputs), dWeights)
  }

  private func forEachBlock(_ shape: ConvolutionShape, _ images: Int, _ body: (Int, Int) -> Void) {
    let (total, block) = (tileCount(shape, images), blockSize(shape, images))
    for first in stride(from: 0, to: total, by: block) { body(first, min(block, total - first)) }
  }

  private func window(_ shape: ConvolutionShape, _ channels: Int) -> tamring_window {
    var window = shape.window
    window.channels = Int64(channels)
    return window
  }
}
