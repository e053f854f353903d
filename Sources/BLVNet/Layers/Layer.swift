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

  func forward(_ lane: Lane)
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

  /// Turns the gradients of the results into those of the sources, and hands those of the parameters to `sink`.
  /// - Throws: what `sink` throws.
  func backward(_ lane: Lane, _ roles: [GradientRole], _ sink: GradientSink) throws
}

extension Layer {
  var isRemade: Bool { false }
  var inPlaceSources: [Int] { [] }
  var multiplyAdds: Int { 0 }
  var parameterCount: Int { 0 }
}
