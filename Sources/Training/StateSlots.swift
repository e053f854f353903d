// The tensors of the training state as named slots, and the step that changes them: what training, `worker step` and
// `worker bench step` share.
import BLVNet
import CKernels
import Checkpoint
import Ring
import Shared

/// The memory of a network's training state under one update rule.
public final class StateSlots {
  public let rule: any UpdateRule
  public let settings: UpdateSettings
  public let layout: StateLayout
  /// In the order of `layout.parameters`.
  public let parameters: FloatStorage
  /// What the rule keeps beside each parameter, in the order of its declaration.
  public let ruleSlots: [FloatStorage]
  /// The running average of the parameters, if the settings have one.
  public let average: FloatStorage?
  /// Running means and variances, in the order of `layout.statistics`.
  public let statistics: FloatStorage
  /// The exponent of each parameter tensor's quantisation scale, for the next step.
  public let exponents: AlignedStorage<Int32>
  /// Every slot, in the order of the state's digest.
  public let all: [StateSlot]

  private let network: Network

  /// Parameters and statistics start at zero; the rest has its initial values.
  public init(_ network: Network, _ rule: any UpdateRule, _ settings: UpdateSettings = UpdateSettings()) {
    let layout = network.layout
    self.network = network
    self.settings = settings
    let prefixes = rule.slots.map(\.prefix) + [CheckpointFiles.averagePrefix, "trainer."]
    precondition(
      prefixes.indices.allSatisfy { i in prefixes.indices.allSatisfy { $0 == i || !prefixes[$0].hasPrefix(prefixes[i]) }
      },
      "the prefixes of the rule's slots cannot be told apart: \(prefixes)")
    self.rule = rule
    self.layout = layout
    parameters = FloatStorage(count: layout.parameterCount)
    ruleSlots = rule.slots.map { _ in FloatStorage(count: layout.parameterCount) }
    average = settings.averageDecay.map { _ in FloatStorage(count: layout.parameterCount) }
    statistics = FloatStorage(count: layout.statisticCount)
    exponents = AlignedStorage(count: layout.parameters.count)

    let tensors = layout.parameters.map(NamedTensor.init)
    all =
      [StateSlot("parameters", .model, tensors: tensors, .floats(parameters))]
      + zip(rule.slots, ruleSlots).map { slot, values in
        StateSlot(slot.name, .trainer, prefix: slot.prefix, tensors: tensors, .floats(values))
      }
      + (average.map {
        [StateSlot("ema", .trainer, prefix: CheckpointFiles.averagePrefix, tensors: tensors, .floats($0))]
      } ?? [])
      + [
        StateSlot("statistics", .model, tensors: layout.statistics.map(NamedTensor.init), .floats(statistics)),
        StateSlot(scales: exponents),
      ]
    for (slot, values) in zip(rule.slots, ruleSlots) where slot.initial != 0 { fill(values, slot.initial) }
    for i in 0..<exponents.count { exponents[i] = GradientScale.initialExponent }
  }

  /// The state that training starts from.
  public func initialise(seed: UInt64) {
    initialiseModel(seed: seed)
    for (slot, values) in zip(rule.slots, ruleSlots) {
      if slot.initial == 0 { values.zero() } else { fill(values, slot.initial) }
    }
    for i in 0..<exponents.count { exponents[i] = GradientScale.initialExponent }
  }

  /// The initial parameters and statistics alone; the average of the parameters starts from them.
  public func initialiseModel(seed: UInt64) {
    network.initialise(parameters: parameters, seed: seed)
    network.initialise(statistics: statistics)
    beginAverage()
  }

  /// Starts the average from the parameters as they are now.
  public func beginAverage() { average?.copy(from: parameters) }

  private func fill(_ values: FloatStorage, _ value: Float) {
    unsafe values.base.update(repeating: value, count: values.count)
  }

  // MARK: A step

  /// One step of the update rule on all parameters.
  ///
  /// - Parameters:
  ///   - divisor: what the sum is divided by: the clips of the step, over all lanes, or the sum of their weights.
  ///   - step: from 0.
  ///   - finished: called for each tensor of `layout.parameters` in turn, while its numbers are in the caches.
  public func update(
    _ gradient: StepGradient, divisor: Double, rate: Float, step: UInt64,
    finished: (Int, TensorSpec) -> Void = { _, _ in }
  ) {
    precondition(gradient.count == layout.gradientCount, "the gradient of another network")
    if case .reduced(_, let exponents) = gradient { precondition(exponents.count == layout.parameters.count) }
    precondition(divisor > 0, "a step of \(divisor) clips")
    let divisor = divisor / clipping(gradient, divisor)
    for (index, tensor) in layout.parameters.enumerated() {
      guard !tensor.isFrozen else {
        finished(index, tensor)
        continue
      }
      let group = settings.factors.isEmpty ? nil : settings.factors[index]
      let update = TensorUpdate(
        index: index, range: tensor.range, parameters: parameters, slots: ruleSlots, gradient: gradient,
        gradientOffset: layout.gradients[index].lowerBound, divisor: Float(divisor),
        rate: group.map { Float(Double(rate) * $0.rate) } ?? rate, decayFactor: group?.decay ?? 1, step: step)
      // Use the lane's floating-point mode, so that every thread treats subnormal numbers alike.
      let mode = tamring_enter_lane_mode()
      rule.update(update)
      if let average, let decay = settings.averageDecay {
        unsafe tamring_blend(
          Int64(tensor.count), Float(decay), Float(1 - decay), parameters.base + tensor.offset,
          average.base + tensor.offset)
      }
      tamring_leave_lane_mode(mode)
      finished(index, tensor)
    }
  }

  /// What the mean gradient is multiplied by so that its norm over all tensors is at most the settings': 1 or less.
  ///
  /// **Source:** Pascanu et al., "On the difficulty of training recurrent neural networks", ICML 2013, section 3.2; as
  /// in `torch.nn.utils.clip_grad_norm_`.
  private func clipping(_ gradient: StepGradient, _ divisor: Double) -> Double {
    guard let most = settings.clipNorm else { return 1 }
    let norm = GradientNorm.norm(gradient, layout.gradients) / divisor
    return min(1, most / (norm + 1e-6))
  }

  /// One step from a reduced sum, and the scales of the next one.
  ///
  /// - Parameters:
  ///   - quantised: the exponents that the sum was quantised with.
  ///   - clips: of this step; `fullClips`: of the next one, if it is full.
  ///   - divisor: as in `update`; the clips by default.
  public func apply(
    _ sum: AlignedStorage<Int32>, quantised: [Int32], clips: Int, fullClips: Int, gradientBits: Int,
    divisor: Double? = nil, rate: Float, step: UInt64, finished: (TensorSpec) -> Void = { _ in }
  ) {
    update(.reduced(sum, exponents: quantised), divisor: divisor ?? Double(clips), rate: rate, step: step) {
      index, tensor in
      finished(tensor)
      guard !tensor.isFrozen else { return }
      exponents[index] = GradientScale.exponent(
        after: sum, layout.gradients[index], quantised: quantised[index], fullClips: fullClips, clips: clips,
        gradientBits: gradientBits)
    }
  }

  /// running = 0.9·running + 0.1·value, for batch norms that are not frozen.
  public func updateStatistics(_ value: FloatStorage) {
    precondition(statistics.count == value.count, "statistics of another network")
    for tensor in layout.statistics where !tensor.isFrozen {
      unsafe tamring_blend(
        Int64(tensor.count), 0.9, 0.1, value.base + tensor.offset, statistics.base + tensor.offset)
    }
  }
}

extension NamedTensor {
  init(_ tensor: TensorSpec) {
    self.init(name: tensor.name, shape: tensor.shape, offset: tensor.offset, count: tensor.count)
  }
}
