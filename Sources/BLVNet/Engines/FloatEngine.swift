// What the engines for float32 have in common: their images are floats.
import CKernels
import Recipes
import Shared

/// An engine whose images are floats. See `ConvolutionEngine`.
public protocol FloatEngine: ConvolutionEngine {
  func forward(
    _ shape: ConvolutionShape, images: Int, src: UnsafePointer<Float>, weights: UnsafePointer<Float>,
    epilogue: UnsafePointer<tamring_epilogue>?, dst: UnsafeMutablePointer<Float>, workspace: UnsafeMutablePointer<Float>
  )

  func dataGradient(
    _ shape: ConvolutionShape, images: Int, dDst: UnsafePointer<Float>, weights: UnsafePointer<Float>,
    accumulate: Bool, dSrc: UnsafeMutablePointer<Float>, workspace: UnsafeMutablePointer<Float>)

  func weightGradient(
    _ shape: ConvolutionShape, images: Int, outputs: Range<Int>, src: UnsafePointer<Float>, dDst: UnsafePointer<Float>,
    dWeights: UnsafeMutablePointer<Float>, workspace: UnsafeMutablePointer<Float>)
}

extension FloatEngine {
  public var precision: Recipe.Precision { .float32 }

  public func forward(
    _ shape: ConvolutionShape, images: Int, src: UnsafeRawPointer, weights: UnsafePointer<Float>,
    epilogue: UnsafePointer<tamring_epilogue>?, dst: UnsafeMutableRawPointer, workspace: UnsafeMutablePointer<Float>
  ) {
    let (src, dst) = unsafe (src.assumingMemoryBound(to: Float.self), dst.assumingMemoryBound(to: Float.self))
    unsafe forward(
      shape, images: images, src: src, weights: weights, epilogue: epilogue, dst: dst, workspace: workspace)
  }

  public func dataGradient(
    _ shape: ConvolutionShape, images: Int, dDst: UnsafeRawPointer, weights: UnsafePointer<Float>, accumulate: Bool,
    dSrc: UnsafeMutableRawPointer, workspace: UnsafeMutablePointer<Float>
  ) {
    let (dDst, dSrc) = unsafe (dDst.assumingMemoryBound(to: Float.self), dSrc.assumingMemoryBound(to: Float.self))
    unsafe dataGradient(
      shape, images: images, dDst: dDst, weights: weights, accumulate: accumulate, dSrc: dSrc, workspace: workspace)
  }

  public func weightGradient(
    _ shape: ConvolutionShape, images: Int, outputs: Range<Int>, src: UnsafeRawPointer, dDst: UnsafeRawPointer,
    dWeights: UnsafeMutablePointer<Float>, workspace: UnsafeMutablePointer<Float>
  ) {
    let (src, dDst) = unsafe (src.assumingMemoryBound(to: Float.self), dDst.assumingMemoryBound(to: Float.self))
    unsafe weightGradient(
      shape, images: images, outputs: outputs, src: src, dDst: dDst, dWeights: dWeights, workspace: workspace)
  }
}
