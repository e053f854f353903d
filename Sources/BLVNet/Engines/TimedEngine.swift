// An engine that times another one: where a step's convolutions spend their time.
import CKernels
import Recipes
import Shared
import Synchronization

/// Forwards every call and adds up how long it took. For measurements only; lanes may share it.
public final class TimedEngine: ConvolutionEngine {
  public struct Row: Sendable {
    public let shape: ConvolutionShape
    public let direction: ConvolutionDirection
    public var seconds = 0.0
    public var multiplyAdds = 0
  }

  private struct Key: Hashable {
    var shape: ConvolutionShape
    var direction: ConvolutionDirection
  }

  private let engine: any ConvolutionEngine
  private let times = Mutex<[Key: Row]>([:])

  public init(_ engine: any ConvolutionEngine) { self.engine = engine }

  public var precision: Recipe.Precision { engine.precision }

  /// The measurements since the last call.
  public func take() -> [Row] {
    times.withLock { all in
      defer { all = [:] }
      return Array(all.values)
    }
  }

  private func timed(
    _ direction: ConvolutionDirection, _ shape: ConvolutionShape, _ multiplyAdds: Int, _ body: () -> Void
  ) {
    let time = ContinuousClock().measure(body)
    times.withLock { all in
      let key = Key(shape: shape, direction: direction)
      var row = all[key] ?? Row(shape: shape, direction: direction)
      row.seconds += time / .seconds(1)
      row.multiplyAdds += multiplyAdds
      all[key] = row
    }
  }

  public func prepare(_ shape: ConvolutionShape, images: Int) -> Int { engine.prepare(shape, images: images) }

  public func prepare(_ shape: ConvolutionShape, images: Int, epilogue: EpilogueKind) -> Int {
    engine.prepare(shape, images: images, epilogue: epilogue)
  }

  public func isSeparable(_ shape: ConvolutionShape, _ direction: ConvolutionDirection) -> Bool {
    engine.isSeparable(shape, direction)
  }

  public func forward(
    _ shape: ConvolutionShape, images: Int, src: UnsafeRawPointer, weights: UnsafePointer<Float>,
    epilogue: UnsafePointer<tamring_epilogue>?, dst: UnsafeMutableRawPointer, workspace: UnsafeMutablePointer<Float>
  ) {
    timed(.forward, shape, images * shape.multiplyAdds) {
      unsafe engine.forward(
        shape, images: images, src: src, weights: weights, epilogue: epilogue, dst: dst, workspace: workspace)
    }
  }

  public func dataGradient(
    _ shape: ConvolutionShape, images: Int, dDst: UnsafeRawPointer, weights: UnsafePointer<Float>,
    accumulate: Bool, dSrc: UnsafeMutableRawPointer, workspace: UnsafeMutablePointer<Float>
  ) {
    timed(.data, shape, images * shape.multiplyAdds) {
      unsafe engine.dataGradient(
        shape, images: images, dDst: dDst, weights: weights, accumulate: accumulate, dSrc: dSrc,
        workspace: workspace)
    }
  }

  public func weightGradient(
    _ shape: ConvolutionShape, images: Int, outputs: Range<Int>, src: UnsafeRawPointer, dDst: UnsafeRawPointer,
    dWeights: UnsafeMutablePointer<Float>, workspace: UnsafeMutablePointer<Float>
  ) {
    timed(.weights, shape, images * shape.multiplyAdds * outputs.count / shape.outputChannels) {
      unsafe engine.weightGradient(
        shape, images: images, outputs: outputs, src: src, dDst: dDst, dWeights: dWeights, workspace: workspace)
    }
  }
}
