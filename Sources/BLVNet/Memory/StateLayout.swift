// The layout of a network's tensors in two flat blocks of numbers.

/// A named tensor within a flat block, in the reference implementation's layout.
public struct TensorSpec: Sendable, Hashable {
  public let name: String
  /// Convolutions are [outputs, inputs, height, width], or [outputs, inputs, time, height, width].
  public let shape: [Int]
  /// The offset in the block, in elements.
  public let offset: Int
  /// Elements.
  public let count: Int
  /// The initial values.
  public let initial: InitialValue
  /// Whether training leaves it as it is.
  public let isFrozen: Bool
  /// The tensor's range in the block.
  public var range: Range<Int> { offset..<offset + count }
}

/// The two blocks of a network: parameters, and batch norm's running statistics; each sorted by name (UTF-8 bytes),
/// which is also the order of a checkpoint.
public struct StateLayout: Sendable, Hashable {
  public let parameters: [TensorSpec]
  public let statistics: [TensorSpec]
  /// The total number of parameter elements.
  public let parameterCount: Int
  /// The total number of statistic elements.
  public let statisticCount: Int
  /// The range of each parameter's gradient in a block of all gradients: empty for a frozen one.
  public let gradients: [Range<Int>]
  /// The total number of gradient elements.
  public var gradientCount: Int { gradients.last?.upperBound ?? 0 }

  /// - Parameter frozen: the names of what training leaves as it is.
  init(
    parameters: [String: TensorDeclaration], statistics: [String: TensorDeclaration], frozen: Set<String> = []
  ) {
    self.parameters = StateLayout.place(parameters, frozen)
    self.statistics = StateLayout.place(statistics, frozen)
    var end = 0
    gradients = self.parameters.map { tensor in
      let start = end
      end += tensor.isFrozen ? 0 : tensor.count
      return start..<end
    }
    parameterCount = self.parameters.reduce(0) { $0 + $1.count }
    statisticCount = self.statistics.reduce(0) { $0 + $1.count }
  }

  private static func place(_ tensors: [String: TensorDeclaration], _ frozen: Set<String>) -> [TensorSpec] {
    var offset = 0
    return tensors.sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }.map { name, tensor in
      let count = tensor.shape.reduce(1, *)
      defer { offset += count }
      return TensorSpec(
        name: name, shape: tensor.shape, offset: offset, count: count, initial: tensor.initial,
        isFrozen: frozen.contains(name))
    }
  }
}

/// A tensor as a layer knows it.
struct TensorReference: Sendable {
  /// The index in the layout's list.
  let index: Int
  let offset: Int
  let count: Int
  /// Whether nobody needs its gradient.
  var isFrozen = false
}
