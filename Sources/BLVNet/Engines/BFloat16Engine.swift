// Convolutions of bfloat16 by oneDNN's primitives.
import CKernels
import COneDNN
import Shared

/// Multiplies bfloat16 and adds in float32, in the processor's instructions for it. Weights are rounded as they are
/// brought into a primitive's form; their gradient is float32.
final class BFloat16Engine: ConvolutionEngine {
  /// Whether this processor has such instructions.
  static var isSupported: Bool { tamring_dnn_has_bf16() }

  var precision: Recipe.Precision { .bf16 }
  private let primitives = PrimitiveCache(bf16: true)

  func prepare(_ shape: ConvolutionShape, images: Int) -> Int {
    let directions = [TAMRING_DNN_FORWARD, TAMRING_DNN_DATA, TAMRING_DNN_WEIGHTS]
    let most = directions.map { primitives.find(shape, images, $0).workspaceCount }.max() ?? 0
    return most + sourceCount(shape, images)
  }

  /// A source's elements, in floats of the workspace, on whole cache lines.
  private func sourceCount(_ shape: ConvolutionShape, _ images: Int) -> Int {
    (images * shape.height * shape.width * shape.inputChannels + 31) / 32 * 16
  }

  func forward(
    _ shape: ConvolutionShape, images: Int, src: UnsafeRawPointer, weights: UnsafePointer<Float>,
    dst: UnsafeMutableRawPointer, workspace: UnsafeMutablePointer<Float>
  ) {
    unsafe primitives.find(shape, images, TAMRING_DNN_FORWARD).run(
      UnsafeMutableRawPointer(mutating: src), weights, dst, workspace)
  }

  func dataGradient(
    _ shape: ConvolutionShape, images: Int, dDst: UnsafeRawPointer, weights: UnsafePointer<Float>, accumulate: Bool,
    dSrc: UnsafeMutableRawPointer, workspace: UnsafeMutablePointer<Float>
  ) {
    let primitive = primitives.find(shape, images, TAMRING_DNN_DATA)
    let results = unsafe UnsafeMutableRawPointer(mutating: dDst)
    guard accumulate else { return unsafe primitive.run(dSrc, weights, results, workspace) }
    // No primitive adds to what is there.
    let rest = unsafe workspace + sourceCount(shape, images)
    unsafe primitive.run(workspace, weights, results, rest)
    unsafe tamring_accumulate(
      true, workspace, Int64(images * shape.height * shape.width * shape.inputChannels), dSrc)
  }

  func weightGradient(
    _ shape: ConvolutionShape, images: Int, src: UnsafeRawPointer, dDst: UnsafeRawPointer,
    dWeights: UnsafeMutablePointer<Float>, workspace: UnsafeMutablePointer<Float>
  ) {
    unsafe primitives.find(shape, images, TAMRING_DNN_WEIGHTS).run(
      UnsafeMutableRawPointer(mutating: src), gradient: dWeights, UnsafeMutableRawPointer(mutating: dDst), workspace)
  }
}
