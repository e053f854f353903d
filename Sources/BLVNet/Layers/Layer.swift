// The protocols of the layers between the input and the head.

/// Receives a complete gradient: the parameter's index in the layout, and its numbers, valid during the call.
public typealias GradientSink = (Int, UnsafeBufferPointer<Float>) throws -> Void

/// What a layer's backward pass does with the gradient of one of its sources.
enum GradientRole: Sendable {
  /// Nobody needs it, so it is not computed.
  case none
  /// This is the first contribution: write.
  case write
  /// Others have contributed before: add.
  case accumulate
  /// It shares the memory of the result's gradient, which is transformed in place.
  case inPlace
}

/// A step of the forward pass.
///
/// The layer itself is immutable; all numbers are in the lane that is passed in.
protocol ForwardLayer: Sendable {
  var name: String { get }
  /// The values it reads, in the order of the roles given to `backward`.
  var sources: [Int] { get }
  /// The values it writes.
  var results: [Int] { get }
  /// For evaluation: the source that the result should overwrite, if nobody reads that source later.
  var inPlaceSource: Int? { get }

  /// The scratch memory that a pass over `clips` clips needs on a team's threads. A lane asks for each number of clips
  /// before the first pass, so that an engine can build what it needs.
  func scratch(clips: Int, _ engine: any ConvolutionEngine, _ team: Team) -> LayerScratch

  func forward(_ lane: Lane)
}

/// Memory that a layer uses within a pass and the next layer reuses. A lane has as much as its most demanding layer
/// needs.
struct LayerScratch: Sendable, Hashable {
  /// Floats of `Lane.workspace`, which each thread has.
  var workspace = 0
  /// Floats of `Lane.parameterGradient`.
  var gradient = 0
  /// How many per-channel vectors, and the floats of each.
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
  /// The values that `backward` reads.
  var kept: [Int] { get }
  /// Whether the results are recomputed for the backward pass instead of kept, because that is cheap. `forward` does
  /// it, from the same sources.
  var isRecomputed: Bool { get }
  /// The sources whose gradient may overwrite the result's, in order of preference.
  var inPlaceSources: [Int] { get }
  /// Multiply-adds for one clip.
  var multiplyAdds: Int { get }
  /// Elements of all learnt tensors.
  var parameterCount: Int { get }
  /// For evaluation: this layer as a batch norm that the layer before it may fuse into its epilogue.
  var epilogue: BatchNorm? { get }

  /// For evaluation: this layer fused with the batch norm that alone reads its result; nil if that is impossible.
  func fused(with norm: BatchNorm) -> (any ForwardLayer)?

  /// Computes the gradients of the sources from those of the results, and passes those of the parameters to `sink`.
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

  var isRecomputed: Bool { false }
  var inPlaceSources: [Int] { [] }
  var multiplyAdds: Int { 0 }
  var parameterCount: Int { 0 }
}
