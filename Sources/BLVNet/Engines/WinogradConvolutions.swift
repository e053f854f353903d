// 3x3 convolutions by Winograd's minimal filtering: F(4x4, 3x3) at stride 1, with a quarter of the multiplications, and
// at stride 2 with 81 instead of 144.
import CKernels

/// Transforms tiles of the images, multiplies them by the transformed weights, one GEMM for each point of a tile, and
/// transforms back.
///
/// **Source:** Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016. At stride 2, the pixels
/// that meet two taps and those that meet one are convolved separately. Results differ from a direct convolution's by
/// about 1e-6 of the largest. Images are floats or bf16; transformed tiles and weights are floats.
struct WinogradConvolutions {
  let bf16: Bool

  /// Matrices of transformed weights. Each serves one point, or at stride 2 up to sixteen.
  private static let matrices = 36
  /// The sum of the gaps between the matrices, in elements.
  private static let gaps = matrices * 16

  static func fits(_ shape: ConvolutionShape) -> Bool {
    shape.kernel == 3 && shape.stride <= 2 && shape.padding == 1 && shape.inputChannels % 16 == 0
      && shape.outputChannels % 16 == 0
  }

  private func points(_ shape: ConvolutionShape) -> Int { shape.stride == 1 ? 36 : 81 }

  private func tileCount(_ shape: ConvolutionShape, _ images: Int) -> Int {
    images * ((shape.outputHeight + 3) / 4) * ((shape.outputWidth + 3) / 4)
  }

  /// Whether one side has several times the channels of the other, as stacked frames have. Then the transforms of the
  /// wide side weigh more, so slices and blocks are larger.
  private func isUneven(_ shape: ConvolutionShape) -> Bool {
    max(shape.inputChannels, shape.outputChannels) >= 3 * min(shape.inputChannels, shape.outputChannels)
  }

  /// Destination channels per slice: as many as keep the transformed weights within 2.4 MB, or three times that.
  private func slice(_ shape: ConvolutionShape, from: Int, to: Int) -> Int {
    let most = (isUneven(shape) ? 3 : 1) * Self.slicedFrom
    return min(to, max(16, most / from / 16 * 16))
  }

  /// Weights that have 2.4 MB when transformed.
  private static let slicedFrom = 16_384

  /// Tiles per block. A block fits the caches if the weights are not sliced; it is always large enough to amortise
  /// reading the transformed weights, and with slices of an uneven shape, transforming the images for each slice.
  private func blockSize(_ shape: ConvolutionShape, _ images: Int, from: Int, slice: Int, to: Int) -> Int {
    let isSliced = slice < to
    let room = isSliced && isUneven(shape) ? 6 << 20 : isSliced || from * slice > Self.slicedFrom ? 2 << 20 : 128 << 10
    let most = max(24, room / (points(shape) * (shape.inputChannels + shape.outputChannels)))
    let total = tileCount(shape, images)
    let blocks = (total + most - 1) / most
    return (total + blocks - 1) / blocks
  }

  func workspaceCount(_ shape: ConvolutionShape, images: Int) -> Int {
    let (inputs, outputs) = (shape.inputChannels, shape.outputChannels)
    return [(inputs, outputs), (outputs, inputs)].map { from, to in
      let slice = slice(shape, from: from, to: to)
      let block = blockSize(shape, images, from: from, slice: slice, to: to)
      return Self.matrices * from * slice + points(shape) * block * (inputs + outputs) + 3 * Self.gaps
    }.max() ?? 0
  }

  func forward(
    _ shape: ConvolutionShape, images: Int, src: UnsafeRawPointer, weights: UnsafePointer<Float>,
    epilogue: UnsafePointer<tamring_epilogue>?, dst: UnsafeMutableRawPointer, workspace: UnsafeMutablePointer<Float>
  ) {
    unsafe convolve(
      shape, images, back: false, from: src, to: dst, weights, accumulate: epilogue?.pointee.adds ?? false, epilogue,
      workspace)
  }

  func dataGradient(
    _ shape: ConvolutionShape, images: Int, dDst: UnsafeRawPointer, weights: UnsafePointer<Float>,
    accumulate: Bool, dSrc: UnsafeMutableRawPointer, workspace: UnsafeMutablePointer<Float>
  ) {
    unsafe convolve(
      shape, images, back: true, from: dDst, to: dSrc, weights, accumulate: accumulate, nil, workspace)
  }

  /// - Parameter back: whether to compute the images' gradient from the results', with the weights rotated by 180°.
  private func convolve(
    _ shape: ConvolutionShape, _ images: Int, back: Bool, from src: UnsafeRawPointer,
    to dst: UnsafeMutableRawPointer, _ weights: UnsafePointer<Float>, accumulate: Bool,
    _ epilogue: UnsafePointer<tamring_epilogue>?, _ workspace: UnsafeMutablePointer<Float>
  ) {
    let (from, to) =
      back ? (shape.outputChannels, shape.inputChannels) : (shape.inputChannels, shape.outputChannels)
    let (fromStride, toStride) = back ? (9 * shape.inputChannels, 9) : (9, 9 * shape.inputChannels)
    let (stride, slice) = (Int64(shape.stride), slice(shape, from: from, to: to))
    var (read, written) = (window(shape, from), window(shape, to))
    let total = tileCount(shape, images)
    let block = blockSize(shape, images, from: from, slice: slice, to: to)
    let transformed = unsafe workspace
    let a = unsafe transformed + Self.matrices * from * slice + Self.gaps
    let b = unsafe a + points(shape) * block * from + Self.gaps
    for channel in Swift.stride(from: 0, to: to, by: slice) {
      let width = min(slice, to - channel)
      var part = tamring_winograd_weights_shape(
        stride: stride, from: Int64(from), to: Int64(width), from_stride: Int64(fromStride),
        to_stride: Int64(toStride), turned: back)
      unsafe tamring_winograd_weights(&part, weights + channel * toStride, transformed)
      for first in Swift.stride(from: 0, to: total, by: block) {
        let tiles = Int64(min(block, total - first))
        if block < total || channel == 0 {
          unsafe tamring_winograd_inputs(bf16, &read, back, src, Int64(first), tiles, a)
        }
        unsafe tamring_winograd_multiply(stride, tiles, Int64(from), Int64(width), a, transformed, b)
        unsafe tamring_winograd_outputs(
          bf16, &written, back, b, Int64(first), tiles, Int64(channel), Int64(width), accumulate, epilogue, dst)
      }
    }
  }

  func weightGradient(
    _ shape: ConvolutionShape, images: Int, outputs part: Range<Int>, src: UnsafeRawPointer, dDst: UnsafeRawPointer,
    dWeights: UnsafeMutablePointer<Float>, workspace: UnsafeMutablePointer<Float>
  ) {
    let (inputs, outputs) = (shape.inputChannels, shape.outputChannels)
    let slice = slice(shape, from: inputs, to: outputs)
    var (read, gradients) = (window(shape, inputs), window(shape, outputs))
    let total = tileCount(shape, images)
    let block = blockSize(shape, images, from: inputs, slice: slice, to: outputs)
    let transformed = unsafe workspace
    let a = unsafe transformed + Self.matrices * inputs * slice + Self.gaps
    let b = unsafe a + points(shape) * block * inputs + Self.gaps
    for channel in stride(from: part.lowerBound, to: part.upperBound, by: slice) {
      let width = min(slice, part.upperBound - channel)
      for first in stride(from: 0, to: total, by: block) {
        let tiles = min(block, total - first)
        if block < total || channel == part.lowerBound {
          unsafe tamring_winograd_inputs(bf16, &read, false, src, Int64(first), Int64(tiles), a)
          unsafe tamring_winograd_gradients(bf16, &gradients, dDst, Int64(first), Int64(tiles), b)
        }
        var product = tamring_winograd_gradients_shape(
          stride: Int64(shape.stride), tiles: Int64(tiles), outputs: Int64(outputs), inputs: Int64(inputs),
          first: Int64(channel), count: Int64(width))
        unsafe tamring_winograd_multiply_gradients(&product, b, a, first > 0, transformed)
      }
      unsafe tamring_winograd_weight_gradients(
        transformed, Int64(shape.stride), Int64(width), Int64(inputs), dWeights + 9 * channel * inputs)
    }
  }

  private func window(_ shape: ConvolutionShape, _ channels: Int) -> tamring_window {
    var window = shape.window
    window.channels = Int64(channels)
    return window
  }
}
