// Convolutions in bf16: our own GEMMs, Winograd's algorithm in float32, and oneDNN for all other shapes.
import CKernels
import COneDNN
import Recipes
import Shared

/// Multiplies bf16 and accumulates in float32 with the processor's bf16 instructions. Weights are rounded as they are
/// packed; their gradient is float32. 3x3 convolutions at stride 1 read and write bf16, but their weights and
/// everything in between are float32: Winograd's algorithm saves more than half of the multiplications.
final class BFloat16Engine: ConvolutionEngine {
  /// Whether this processor has bf16 instructions.
  static var isSupported: Bool { tamring_dnn_has_bf16() }

  var precision: Recipe.Precision { .bf16 }
  private let primitives = PrimitiveCache(bf16: true)
  private let pointwise = PointwiseConvolutions(bf16: true)
  private let winograd = WinogradConvolutions(bf16: true)
  private let im2col = Im2colWeightGradient(bf16: true)
  private let winogradFrom: Int

  /// - Parameter winogradFrom: see `OneDNNEngine`.
  init(winogradFrom: Int = 7) { self.winogradFrom = winogradFrom }

  func isWinograd(_ shape: ConvolutionShape) -> Bool {
    shape.stride == 1 && shape.outputHeight >= winogradFrom && WinogradConvolutions.fits(shape)
  }

  /// Whether our own kernels convolve this shape.
  private func ownWorkspaceCount(_ shape: ConvolutionShape, _ images: Int) -> Int? {
    if isWinograd(shape) { return winograd.workspaceCount(shape, images: images) }
    return PointwiseConvolutions.fits(shape) ? pointwise.workspaceCount(shape) : nil
  }

  private func usesIm2col(_ shape: ConvolutionShape) -> Bool {
    Im2colWeightGradient.fits(shape) && shape.outputHeight <= 7
  }

  func isSeparable(_ shape: ConvolutionShape, _ direction: ConvolutionDirection) -> Bool {
    isWinograd(shape) || PointwiseConvolutions.fits(shape)
      || (direction == .weights && usesIm2col(shape))
  }

  func prepare(_ shape: ConvolutionShape, images: Int) -> Int {
    if let count = ownWorkspaceCount(shape, images) { return count }
    let directions = [TAMRING_DNN_FORWARD, TAMRING_DNN_DATA] + (usesIm2col(shape) ? [] : [TAMRING_DNN_WEIGHTS])
    let most = max(
      directions.map { primitives.find(shape, images, $0).workspaceCount }.max() ?? 0,
      usesIm2col(shape) ? im2col.workspaceCount(shape) : 0)
    if shape.isPointwise { return max(most, primitives.find(shape, images, TAMRING_DNN_DATA_ADDED).workspaceCount) }
    return max(most, imageCount(shape) + primitives.find(shape, 1, TAMRING_DNN_DATA).workspaceCount)
  }

  func prepare(_ shape: ConvolutionShape, images: Int, epilogue: EpilogueKind) -> Int {
    ownWorkspaceCount(shape, images)
      ?? primitives.find(shape, images, TAMRING_DNN_FORWARD, epilogue: epilogue).workspaceCount
  }

  /// Floats that one source image takes in the workspace, rounded up to whole cache lines.
  private func imageCount(_ shape: ConvolutionShape) -> Int {
    (shape.inputCount + 31) / 32 * 16
  }

  func forward(
    _ shape: ConvolutionShape, images: Int, src: UnsafeRawPointer, weights: UnsafePointer<Float>,
    epilogue: UnsafePointer<tamring_epilogue>?, dst: UnsafeMutableRawPointer, workspace: UnsafeMutablePointer<Float>
  ) {
    if isWinograd(shape) {
      return unsafe winograd.forward(
        shape, images: images, src: src, weights: weights, epilogue: epilogue, dst: dst, workspace: workspace)
    }
    if PointwiseConvolutions.fits(shape) {
      return unsafe pointwise.forward(
        shape, images: images, src: src, weights: weights, epilogue: epilogue, dst: dst, workspace: workspace)
    }
    unsafe primitives.find(shape, images, TAMRING_DNN_FORWARD, epilogue: epilogue?.pointee.kind).run(
      UnsafeMutableRawPointer(mutating: src), weights, dst, epilogue: epilogue, workspace)
  }

  func dataGradient(
    _ shape: ConvolutionShape, images: Int, dDst: UnsafeRawPointer, weights: UnsafePointer<Float>, accumulate: Bool,
    dSrc: UnsafeMutableRawPointer, workspace: UnsafeMutablePointer<Float>
  ) {
    if isWinograd(shape) {
      return unsafe winograd.dataGradient(
        shape, images: images, dDst: dDst, weights: weights, accumulate: accumulate, dSrc: dSrc, workspace: workspace)
    }
    if PointwiseConvolutions.fits(shape) {
      return unsafe pointwise.dataGradient(
        shape, images: images, dDst: dDst, weights: weights, accumulate: accumulate, dSrc: dSrc, workspace: workspace)
    }
    let results = unsafe UnsafeMutableRawPointer(mutating: dDst)
    if !accumulate || shape.isPointwise {
      return unsafe primitives.find(shape, images, accumulate ? TAMRING_DNN_DATA_ADDED : TAMRING_DNN_DATA).run(
        dSrc, weights, results, workspace)
    }
    // oneDNN's 3x3 primitives cannot accumulate. One image at a time stays in the caches. (Our network
    // accumulates into 1x1 convolutions only.)
    let (count, rest) = unsafe (shape.inputCount, workspace + imageCount(shape))
    let resultBytes = 2 * shape.outputCount
    for image in 0..<images {
      unsafe primitives.find(shape, 1, TAMRING_DNN_DATA).run(
        workspace, weights, results + image * resultBytes, rest)
      unsafe tamring_accumulate(true, workspace, Int64(count), dSrc + image * 2 * count)
    }
  }

  func weightGradient(
    _ shape: ConvolutionShape, images: Int, outputs: Range<Int>, src: UnsafeRawPointer, dDst: UnsafeRawPointer,
    dWeights: UnsafeMutablePointer<Float>, workspace: UnsafeMutablePointer<Float>
  ) {
    if isWinograd(shape) {
      return unsafe winograd.weightGradient(
        shape, images: images, outputs: outputs, src: src, dDst: dDst, dWeights: dWeights, workspace: workspace)
    }
    if PointwiseConvolutions.fits(shape) {
      return unsafe pointwise.weightGradient(
        shape, images: images, outputs: outputs, src: src, dDst: dDst, dWeights: dWeights, workspace: workspace)
    }
    if usesIm2col(shape) {
      return unsafe im2col.weightGradient(
        shape, images: images, outputs: outputs, src: src, dDst: dDst, dWeights: dWeights, workspace: workspace)
    }
    unsafe primitives.find(shape, images, TAMRING_DNN_WEIGHTS).run(
      UnsafeMutableRawPointer(mutating: src), gradient: dWeights, UnsafeMutableRawPointer(mutating: dDst), workspace)
  }
}
