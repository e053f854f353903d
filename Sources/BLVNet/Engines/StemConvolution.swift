// The first convolution, 7x7 at stride 2 over a few channels, by Winograd's minimal filtering.
import CKernels

/// Splits each image into its four phases (even and odd rows and columns), side by side as channels: sixteen for an
/// image of three, 48 for three stacked frames. Over the phases, the kernel is 4x4 at stride 1: F(3x3, 4x4), with a
/// quarter of the multiplications and the points of `WinogradConvolutions`. There is no data gradient, because the
/// images are the network's input.
struct StemConvolution {
  private static let mostChannels = 48
  /// Points of a transformed tile, and of a transformed kernel.
  private static let points = 36
  /// Tiles per block, so that their points stay within the caches.
  private static let most = 40
  private static let gaps = points * 16

  static func fits(_ shape: ConvolutionShape) -> Bool {
    shape.kernel == 7 && shape.stride == 2 && shape.padding == 3 && 4 * shape.inputChannels <= mostChannels
      && shape.outputChannels % 16 == 0
  }

  /// Channels of the phases.
  private func channels(_ shape: ConvolutionShape) -> Int {
    Int(tamring_stem_channels(Int64(shape.inputChannels)))
  }

  func workspaceCount(_ shape: ConvolutionShape) -> Int {
    let (all, outputs) = (channels(shape), shape.outputChannels)
    return Self.points * (all * outputs + Self.most * (all + outputs)) + 3 * Self.gaps
      + shape.outputHeight * shape.outputWidth * all
  }

  func forward(
    _ shape: ConvolutionShape, images: Int, src: UnsafePointer<Float>, weights: UnsafePointer<Float>,
    epilogue: UnsafePointer<tamring_epilogue>?, dst: UnsafeMutablePointer<Float>, workspace: UnsafeMutablePointer<Float>
  ) {
    let (used, outputs) = (Int64(4 * shape.inputChannels), Int64(shape.outputChannels))
    var written = window(shape, outputs)
    let room = unsafe room(shape, workspace)
    unsafe tamring_stem_weights(outputs, Int64(shape.inputChannels), weights, room.weights)
    unsafe forEachBlock(shape, images, src, room) { image, first, tiles in
      unsafe tamring_winograd_multiply(1, tiles, used, outputs, room.inputs, room.weights, room.outputs)
      unsafe tamring_winograd_outputs(
        false, &written, false, room.outputs, first, tiles, 0, outputs, epilogue?.pointee.adds ?? false, epilogue,
        dst + image * shape.outputCount)
    }
  }

  func weightGradient(
    _ shape: ConvolutionShape, images: Int, src: UnsafePointer<Float>, dDst: UnsafePointer<Float>,
    dWeights: UnsafeMutablePointer<Float>, workspace: UnsafeMutablePointer<Float>
  ) {
    let (used, outputs) = (Int64(4 * shape.inputChannels), Int64(shape.outputChannels))
    var gradients = window(shape, outputs)
    let room = unsafe room(shape, workspace)
    unsafe forEachBlock(shape, images, src, room) { image, first, tiles in
      unsafe tamring_winograd_gradients(
        false, &gradients, dDst + image * shape.outputCount, first, tiles,
        room.outputs)
      // The operands change places, because the phases have fewer channels than a panel.
      var part = tamring_winograd_gradients_shape(
        stride: 1, tiles: tiles, outputs: used, inputs: outputs, first: 0, count: used)
      unsafe tamring_winograd_multiply_gradients(&part, room.inputs, room.outputs, image > 0 || first > 0, room.weights)
    }
    unsafe tamring_stem_weight_gradients(outputs, Int64(shape.inputChannels), room.weights, dWeights)
  }

  private typealias Room = (
    weights: UnsafeMutablePointer<Float>, inputs: UnsafeMutablePointer<Float>, outputs: UnsafeMutablePointer<Float>,
    phases: UnsafeMutablePointer<Float>
  )

  private func room(_ shape: ConvolutionShape, _ workspace: UnsafeMutablePointer<Float>) -> Room {
    let inputs = unsafe workspace + Self.points * channels(shape) * shape.outputChannels + Self.gaps
    let outputs = unsafe inputs + Self.points * channels(shape) * Self.most + Self.gaps
    return unsafe (
      workspace, inputs, outputs, outputs + Self.points * shape.outputChannels * Self.most + Self.gaps
    )
  }

  /// Transforms a block of tiles at a time, and calls `body` with the image, the block's first tile and its size.
  private func forEachBlock(
    _ shape: ConvolutionShape, _ images: Int, _ src: UnsafePointer<Float>, _ room: Room,
    _ body: (Int, Int64, Int64) -> Void
  ) {
    var (whole, read) = (shape.window, window(shape, Int64(channels(shape))))
    let total = ((shape.outputHeight + 2) / 3) * ((shape.outputWidth + 2) / 3)
    for image in 0..<images {
      unsafe tamring_stem_phases(&whole, src + image * shape.inputCount, room.phases)
      for first in stride(from: 0, to: total, by: Self.most) {
        let tiles = Int64(min(Self.most, total - first))
        unsafe tamring_winograd_inputs(false, &read, false, room.phases, Int64(first), tiles, room.inputs)
        body(image, Int64(first), tiles)
      }
    }
  }

  /// The convolution over the phases.
  private func window(_ shape: ConvolutionShape, _ channels: Int64) -> tamring_window {
    let (height, width) = (Int64(shape.outputHeight), Int64(shape.outputWidth))
    return tamring_window(
      height: height, width: width, channels: channels, kernel: 4, stride: 1, padding: 2, out_height: height,
      out_width: width)
  }
}
