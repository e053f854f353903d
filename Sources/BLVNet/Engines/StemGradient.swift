// The gradient of the stem's weights without gathering windows.
import CKernels

/// With few input channels a row of a window is a few neighbours in memory, which are multiplied where they lie.
struct StemGradient {
  private static let run = 24

  static func fits(_ shape: ConvolutionShape) -> Bool {
    (17...run).contains(shape.kernel * shape.inputChannels) && shape.outputChannels % 4 == 0
  }

  private func sumCount(_ shape: ConvolutionShape) -> Int { shape.outputChannels * shape.kernel * Self.run }

  func workspaceCount(_ shape: ConvolutionShape) -> Int {
    var window = shape.window
    return unsafe sumCount(shape) + Int(tamring_row_slopes_room(&window))
  }

  func weightGradient(
    _ shape: ConvolutionShape, images: Int, src: UnsafePointer<Float>, dDst: UnsafePointer<Float>,
    dWeights: UnsafeMutablePointer<Float>, workspace: UnsafeMutablePointer<Float>
  ) {
    var window = shape.window
    let row = unsafe workspace + sumCount(shape)
    unsafe tamring_row_slopes(&window, Int64(images), Int64(shape.outputChannels), src, dDst, row, workspace)
    unsafe tamring_row_slopes_weights(&window, Int64(shape.outputChannels), workspace, dWeights)
  }
}
