// One training step in isolation, from tensors to tensors: what `worker step` runs and what golden files check.
import BLVNet
import Recipes
import Shared

/// Forward, loss, backward and one step of the update rule, the whole batch being one lane, with gradients in floating
/// point.
public struct TrainingStep {
  public let network: Network
  private let rate: Float
  private let loss: ClassLoss
  private let slots: StateSlots
  /// [clips·T, H, W, 3]
  public let input: FloatStorage
  /// What each clip shows.
  public let targets: [ClassTarget]

  /// - Parameters:
  ///   - state: the parameters, running statistics and, if present, the rule's slots (`momentum.NAME`; else their
  ///     initial values) by their reference names; the classifier may have its other name, and `num_batches_tracked` is
  ///     not needed.
  ///   - batch: `input` float32 [clips, T·3, H, W] and `labels` int64 [clips]; or, for a binary loss, [clips, classes]
  ///     of 0 and 1.
  /// - Throws: `BLVNetError(.badConfiguration)` if the model cannot be built, `SharedError` if there is no such update
  ///   rule; `BLVNetError(.badData)` naming a tensor
  ///   that is missing, not part of the model, or of another format or shape, or a label that is no class.
  public init(
    model: ModelRecipe, optimizer: OptimizerRecipe, loss: ClassLoss = ClassLoss(), engine: any ConvolutionEngine,
    state: SafeTensors, batch: SafeTensors
  ) throws {
    let network = try Network(model, engine: engine)
    self.network = network
    let rule = try optimizer.makeRule()
    slots = StateSlots(network, rule, try UpdateSettings(optimizer, network.layout))
    rate = Float(optimizer.learningRate)
    self.loss = loss
    let layout = network.layout

    var unread = Set(state.entries.keys.filter { !$0.hasSuffix("num_batches_tracked") })
    func read(_ tensor: TensorSpec, prefix: String, into storage: FloatStorage) throws {
      var name = prefix + tensor.name
      if state.entries[name] == nil, let other = network.alternativeName(of: tensor.name),
        state.entries[prefix + other] != nil
      {
        name = prefix + other
      }
      unread.remove(name)
      let values = try Self.read("state") { try state.floats(name, shape: tensor.shape) }
      for (i, value) in values.enumerated() { storage[tensor.offset + i] = value }
    }
    for tensor in layout.parameters { try read(tensor, prefix: "", into: slots.parameters) }
    for (slot, values) in zip(rule.slots, slots.ruleSlots)
    where state.entries.keys.contains(where: { $0.hasPrefix(slot.prefix) }) {
      for tensor in layout.parameters { try read(tensor, prefix: slot.prefix, into: values) }
    }
    for tensor in layout.statistics { try read(tensor, prefix: "", into: slots.statistics) }
    if let name = unread.min() {
      throw BLVNetError(
        .badData, "state: tensor '\(name)' is not part of this model; check the recipe's model section")
    }

    let size = model.inputSize
    let shape = [batch.entries["input"]?.shape.first ?? 0, model.groups * 3, size, size]
    let images = try Self.read("batch") { try batch.floats("input", shape: shape) }
    guard shape[0] > 0 else { throw BLVNetError(.badData, "batch: 'input' holds no clips") }
    targets = try Self.targets(batch, clips: shape[0], classes: model.classes, loss.kind)
    input = FloatStorage(count: images.count)
    let pixels = size * size
    for frame in 0..<shape[0] * model.groups {
      for channel in 0..<3 {
        for pixel in 0..<pixels {
          input[(frame * pixels + pixel) * 3 + channel] = images[(frame * 3 + channel) * pixels + pixel]
        }
      }
    }
  }

  private static func targets(
    _ batch: SafeTensors, clips: Int, classes: Int, _ kind: LossRecipe.Kind
  ) throws -> [ClassTarget] {
    if kind == .binary, batch.entries["labels"]?.shape.count == 2 {
      let marks = try read("batch") { try batch.int64s("labels", shape: [clips, classes]) }
      if let mark = marks.first(where: { $0 != 0 && $0 != 1 }) {
        throw BLVNetError(.badData, "batch: 'labels' of clips and classes has a \(mark), expected 0 or 1")
      }
      return (0..<clips).map { clip in ClassTarget((0..<classes).filter { marks[clip * classes + $0] == 1 }) }
    }
    let labels = try read("batch") { try batch.int64s("labels", shape: [clips]) }
    if let label = labels.first(where: { $0 < 0 || $0 >= classes }) {
      throw BLVNetError(.badData, "batch: the label \(label) is not in 0..<\(classes) (model.classes)")
    }
    return labels.map { ClassTarget(Int($0)) }
  }

  private static func read<Result>(_ what: String, _ body: () throws -> Result) throws -> Result {
    do { return try body() } catch let error as SharedError {
      throw BLVNetError(
        error.status, "\(what): \(error); check that the file belongs to the recipe's model section")
    }
  }

  /// Runs the step, once.
  ///
  /// - Returns: `logits`, `loss` (mean), `grad.NAME` (of the mean loss, for tensors that are trained), and after the
  ///   update `param.NAME`, the rule's slots (`momentum.NAME`) and `buffer.NAME`; with `evaluating` also `eval_logits`
  ///   of the state before.
  public func run(dropout: DropoutKey = DropoutKey(seed: 0, step: 0, lane: 0), evaluating: Bool = false) throws
    -> SafeTensorsWriter
  {
    var out = SafeTensorsWriter()
    let layout = network.layout
    let clips = targets.count
    let lane = Lane(network, maximumClips: clips)
    let (parameters, statistics) = (slots.parameters, slots.statistics)
    if evaluating {
      let logits = lane.evaluate(parameters: parameters, statistics: statistics, input: input, clips: clips)
      out.add("eval_logits", .float32, shape: [clips, network.classes], logits)
    }

    let gradients = FloatStorage(count: layout.gradientCount)
    let result = try unsafe lane.train(
      parameters: parameters, statistics: statistics, input: input, targets: targets, loss: loss, dropout: dropout
    ) { tensor, values in
      guard let first = values.baseAddress else { return }
      unsafe (gradients.base + layout.gradients[tensor].lowerBound).update(from: first, count: values.count)
    }
    out.add("logits", .float32, shape: [clips, network.classes], result.logits)
    let loss = result.losses.reduce(0.0) { $0 + Double($1) } / result.weight
    out.add("loss", .float32, shape: [1], [Float(loss)])
    for (tensor, range) in zip(layout.parameters, layout.gradients) where !tensor.isFrozen {
      let sum = gradients.array(range)
      out.add("grad.\(tensor.name)", .float32, shape: tensor.shape, sum.map { $0 / Float(result.weight) })
    }

    slots.update(.summed(gradients), divisor: result.weight, rate: rate, step: dropout.step)
    slots.updateStatistics(result.batchStatistics)
    for tensor in layout.parameters {
      let range = tensor.range
      out.add("param.\(tensor.name)", .float32, shape: tensor.shape, parameters.array(range))
      for (slot, values) in zip(slots.rule.slots, slots.ruleSlots) {
        out.add(slot.prefix + tensor.name, .float32, shape: tensor.shape, values.array(range))
      }
    }
    for tensor in layout.statistics {
      let range = tensor.range
      out.add("buffer.\(tensor.name)", .float32, shape: tensor.shape, statistics.array(range))
    }
    return out
  }
}
