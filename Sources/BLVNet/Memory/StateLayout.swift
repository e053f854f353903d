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

  init(parameters: [String: TensorDeclaration], statistics: [String: TensorDeclaration]) {
    self.parameters = StateLayout.place(parameters)
    self.statistics = StateLayout.place(statistics)
    parameterCount = self.parameters.reduce(0) { $0 + $1.count }
    statisticCount = self.statistics.reduce(0) { $0 + $1.count }
  }

  private static func place(_ tensors: [String: TensorDeclaration]) -> [TensorSpec] {
    var offset = 0
    return tensors.sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }.map { name, tensor in
      let count = tensor.shape.reduce(1, *)
      defer { offset += count }
      return TensorSpec(name: name, shape: tensor.shape, offset: offset, count: count, initial: tensor.initial)
    }
  }
}

/// A tensor as a layer knows it.
struct TensorReference: Sendable {
  /// The index in the layout's list.
  let index: Int
  let offset: Int
  let count: Int
}
