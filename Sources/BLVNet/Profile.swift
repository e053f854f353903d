// The costs of a network, layer by layer: parameters, arithmetic and memory.
import Shared

/// The costs of a network for one clip.
public struct Profile: Sendable {
  public struct Row: Sendable {
    public let name: String
    /// Learnt parameters.
    public let parameters: Int
    /// Multiply-adds of the forward pass.
    public let multiplyAdds: Int
    /// Bytes of the layer's results.
    public let activationBytes: Int
  }

  public let rows: [Row]
  public let parameters: Int
  public let multiplyAdds: Int
  /// Multiply-adds without the classifier, which published tables leave out.
  public let convolutionMultiplyAdds: Int
  public let activationBytes: Int
  /// Bytes of the training arena per clip, gradients and reuse included.
  public let trainingBytes: Int
  /// Bytes of the evaluation arena per clip.
  public let evaluationBytes: Int

  public init(_ network: Network) {
    let structure = network.structure
    var rows = structure.layers.map { layer in
      Row(
        name: layer.name, parameters: layer.parameterCount, multiplyAdds: layer.multiplyAdds,
        activationBytes: layer.results.reduce(0) { $0 + network.elementBytes * structure.values[$1].count })
    }
    let head = structure.head
    rows.append(
      Row(
        name: head.name, parameters: head.weight.count + head.bias.count,
        multiplyAdds: head.shape.frames * head.weight.count,
        activationBytes: 4 * head.shape.frames * head.shape.channels))
    self.rows = rows
    parameters = rows.reduce(0) { $0 + $1.parameters }
    multiplyAdds = rows.reduce(0) { $0 + $1.multiplyAdds }
    convolutionMultiplyAdds = rows.dropLast().reduce(0) { $0 + $1.multiplyAdds }
    activationBytes = rows.reduce(0) { $0 + $1.activationBytes }
    trainingBytes = network.elementBytes * MemoryPlan(training: structure).count
    evaluationBytes = network.elementBytes * MemoryPlan(evaluating: structure).count
  }
}
