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
  public let layout: StateLayout
  /// In the order of `layout.parameters`.
  public let parameters: FloatStorage
  /// What the rule keeps beside each parameter, in the order of its declaration.
  public let ruleSlots: [FloatStorage]
  /// Running means and variances, in the order of `layout.statistics`.
  public let statistics: FloatStorage
  /// The exponent of each parameter tensor's quantisation scale, for the next step.
  public let exponents: AlignedStorage<Int32>
  /// Every slot, in the order of the state's digest.
  public let all: [StateSlot]

  private let network: Network

  /// Parameters and statistics start at zero; the rest has its initial values.
  public init(_ network: Network, _ rule: any UpdateRule) {
    let layout = network.layout
    self.network = network
    let prefixes = rule.slots.map(\.prefix) + ["trainer."]
    precondition(
      prefixes.indices.allSatisfy { i in prefixes.indices.allSatisfy { $0 == i || !prefixes[$0].hasPrefix(prefixes[i]) }
      },
      "the prefixes of the rule's slots cannot be told apart: \(prefixes)")
    self.rule = rule
    self.layout = layout
    parameters = FloatStorage(count: layout.parameterCount)
    ruleSlots = rule.slots.map { _ in FloatStorage(count: layout.parameterCount) }
    statistics = FloatStorage(count: layout.statisticCount)
    exponents = AlignedStorage(count: layout.parameters.count)

    let tensors = layout.parameters.map(NamedTensor.init)
    all =
      [StateSlot("parameters", .model, tensors: tensors, .floats(parameters))]
      + zip(rule.slots, ruleSlots).map { slot, values in
        StateSlot(slot.name, .trainer, prefix: slot.prefix, tensors: tensors, .floats(values))
      } + [
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

  /// The initial parameters and statistics alone.
  public func initialiseModel(seed: UInt64) {
    network.initialise(parameters: parameters, seed: seed)
    network.initialise(statistics: statistics)
  }

  private func fill(_ values: FloatStorage, _ value: Float) {
    unsafe values.base.update(repeating: value, count: values.count)
  }

  // MARK: A step

  /// One step of the update rule on all parameters.
  ///
  /// - Parameters:
  ///   - clips: of the step, over all lanes.
  ///   - step: from 0.
  ///   - finished: called for each tensor of `layout.parameters` in turn, while its numbers are in the caches.
  public func update(
    _ gradient: StepGradient, clips: Int, rate: Float, step: UInt64, finished: (Int, TensorSpec) -> Void = { _, _ in }
  ) {
    precondition(gradient.count == layout.parameterCount, "the gradient of another network")
    if case .reduced(_, let exponents) = gradient { precondition(exponents.count == layout.parameters.count) }
    precondition(clips > 0, "a step of \(clips) clips")
    for (index, tensor) in layout.parameters.enumerated() {
      let update = TensorUpdate(
        index: index, range: tensor.range, parameters: parameters, slots: ruleSlots, gradient: gradient, clips: clips,
        rate: rate, step: step)
      // Use the lane's floating-point mode, so that every thread treats subnormal numbers alike.
      let mode = tamring_enter_lane_mode()
      rule.update(update)
      tamring_leave_lane_mode(mode)
      finished(index, tensor)
    }
  }

  /// One step from a reduced sum, and the scales of the next one.
  ///
  /// - Parameters:
  ///   - quantised: the exponents that the sum was quantised with.
  ///   - clips: of this step; `fullClips`: of a full one.
  public func apply(
    _ sum: AlignedStorage<Int32>, quantised: [Int32], clips: Int, fullClips: Int, gradientBits: Int, rate: Float,
    step: UInt64, finished: (TensorSpec) -> Void = { _ in }
  ) {
    update(.reduced(sum, exponents: quantised), clips: clips, rate: rate, step: step) { index, tensor in
      finished(tensor)
      exponents[index] = GradientScale.exponent(
        after: sum, tensor.range, quantised: quantised[index], fullClips: fullClips, clips: clips,
        gradientBits: gradientBits)
    }
  }

  /// running = 0.9·running + 0.1·value
  public func updateStatistics(_ value: FloatStorage) {
    precondition(statistics.count == value.count, "statistics of another network")
    unsafe tamring_blend(Int64(statistics.count), 0.9, 0.1, value.base, statistics.base)
  }
}

extension NamedTensor {
  init(_ tensor: TensorSpec) {
    self.init(name: tensor.name, shape: tensor.shape, offset: tensor.offset, count: tensor.count)
  }
}
