// What every layer between the input and the head has in common.

/// Takes a finished gradient: the parameter's index in the layout, and its numbers, valid during the call.
public typealias GradientSink = (Int, UnsafeBufferPointer<Float>) throws -> Void

/// What a layer's backward pass does with the gradient of one of its sources.
enum GradientRole: Sendable {
  /// Nobody needs it.
  case none
  /// It is the first contribution: write.
  case write
  /// Others came before: add.
  case accumulate
  /// It lives where the gradient of the result does, which thus becomes it (in place).
  case inPlace
}

/// A step of the forward pass.
///
/// The layer itself is constant; all numbers are in the lane that is passed in.
protocol ForwardLayer: Sendable {
  var name: String { get }
  /// Values read, in the order of the roles given to `backward`.
  var sources: [Int] { get }
  /// Values written.
  var results: [Int] { get }
  /// In evaluation form, the source in whose memory the one result is best written, if nobody reads it after.
  var inPlaceSource: Int? { get }

  /// The scratch memory that a pass over `clips` clips needs, on a team's threads. Asked for each number of clips before
  /// the first pass, so that an engine can build what it needs.
  func scratch(clips: Int, _ engine: any ConvolutionEngine, _ team: Team) -> LayerScratch

  func forward(_ lane: Lane)
}

/// Memory that a layer uses within a pass and leaves to the next layer. A lane has as much as the most demanding asks for.
struct LayerScratch: Sendable, Hashable {
  /// Floats of `Lane.workspace`, which each thread has.
  var workspace = 0
  /// Floats of `Lane.parameterGradient`.
  var gradient = 0
  /// Vectors of a number a channel, and the floats of each.
  var vectors = 0
  var span = 0
  /// Doubles of `Lane.sums`.
  var sums = 0

  mutating func grow(to other: LayerScratch) {
    workspace = max(workspace, other.workspace)
    gradient = max(gradient, other.gradient)
    vectors = max(vectors, other.vectors)
    span = max(span, other.span)
    sums = max(sums, other.sums)
  }
}

/// A step of the network, forward and backward.
protocol Layer: ForwardLayer {
  /// Values that `backward` reads.
  var kept: [Int] { get }
  /// Whether the results are not kept for the backward pass but made again, as that is cheap. `forward` does it, from
  /// the same sources.
  var isRemade: Bool { get }
  /// Sources whose gradient may take the place of the result's; the first that is free for it gets it.
  var inPlaceSources: [Int] { get }
  /// Multiply-adds for one clip.
  var multiplyAdds: Int { get }
  /// Elements of learnt tensors.
  var parameterCount: Int { get }
  /// In evaluation form: the layer as a batch norm that the layer before it may do in its own last pass.
  var epilogue: BatchNorm? { get }

  /// In evaluation form: this layer and the batch norm that alone reads its result, as one; nil if that cannot be.
  func fused(with norm: BatchNorm) -> (any ForwardLayer)?

  /// Turns the gradients of the results into those of the sources, and hands those of the parameters to `sink`.
  /// - Throws: what `sink` throws.
  func backward(_ lane: Lane, _ roles: [GradientRole], _ sink: GradientSink) throws
}

extension ForwardLayer {
  var inPlaceSource: Int? { nil }

  func scratch(clips: Int, _ engine: any ConvolutionEngine, _ team: Team) -> LayerScratch { LayerScratch() }
}

extension Layer {
  var epilogue: BatchNorm? { nil }

  func fused(with norm: BatchNorm) -> (any ForwardLayer)? { nil }

  var isRemade: Bool { false }
  var inPlaceSources: [Int] { [] }
  var multiplyAdds: Int { 0 }
  var parameterCount: Int { 0 }
}
