// Stochastic gradient descent over the flat blocks of a network; the same operations in the same order everywhere.
import CKernels
import Shared

/// `d = g + weightDecay·p; v = momentum·v + d; p −= rate·(d + momentum·v)`, or `p −= rate·v` without Nesterov, with
/// g the sum of the clips' gradients divided by their count.
public enum Optimiser {
  /// One step from a reduced sum of integers: g = Float(q) · 2^exponent / clips.
  ///
  /// - Parameters:
  ///   - parameters: and `momentum`, in the order of `layout.parameters`; both are updated.
  ///   - sum: the reduced integers, in the same order.
  ///   - exponents: of the scale, one for each tensor of `layout.parameters`.
  ///   - clips: of the step, over all lanes.
  ///   - finished: called for each tensor of `layout.parameters` in turn, while its numbers are in the caches.
  public static func applyReduced(
    parameters: FloatStorage, momentum: FloatStorage, sum: AlignedStorage<Int32>, exponents: [Int32], clips: Int,
    rate: Float, _ recipe: OptimizerRecipe, _ layout: StateLayout, finished: (Int, TensorSpec) -> Void = { _, _ in }
  ) {
    precondition(sum.count == layout.parameterCount && exponents.count == layout.parameters.count)
    check(parameters, momentum, layout, clips)
    for (index, tensor) in layout.parameters.enumerated() {
      let exponent = exponents[index]
      precondition((-126...127).contains(exponent), "\(tensor.name): a scale of 2^\(exponent)")
      let scale = Float(sign: .plus, exponent: Int(exponent), significand: 1)
      inLaneMode(rate, recipe) { rule in
        unsafe tamring_sgd_reduced(
          &rule, Int64(tensor.count), sum.base + tensor.offset, scale, Float(clips), parameters.base + tensor.offset,
          momentum.base + tensor.offset)
      }
      finished(index, tensor)
    }
  }

  /// One step from gradients in floating point, summed over `clips` clips.
  public static func apply(
    parameters: FloatStorage, momentum: FloatStorage, gradients: FloatStorage, clips: Int, rate: Float,
    _ recipe: OptimizerRecipe, _ layout: StateLayout
  ) {
    precondition(gradients.count == layout.parameterCount)
    check(parameters, momentum, layout, clips)
    inLaneMode(rate, recipe) { rule in
      unsafe tamring_sgd(
        &rule, Int64(parameters.count), gradients.base, Float(clips), parameters.base, momentum.base)
    }
  }

  /// running = 0.9·running + 0.1·value
  public static func updateStatistics(running: FloatStorage, value: FloatStorage) {
    precondition(running.count == value.count)
    unsafe tamring_blend(Int64(running.count), 0.9, 0.1, value.base, running.base)
  }

  private static func check(_ parameters: FloatStorage, _ momentum: FloatStorage, _ layout: StateLayout, _ clips: Int) {
    precondition(parameters.count == layout.parameterCount && momentum.count == layout.parameterCount)
    precondition(clips > 0, "a step of \(clips) clips")
  }

  /// The lane's floating-point mode, so that subnormal numbers are treated alike by every thread that applies.
  private static func inLaneMode(
    _ rate: Float, _ recipe: OptimizerRecipe, _ body: (inout tamring_sgd_rule) -> Void
  ) {
    var rule = tamring_sgd_rule(
      rate: rate, momentum: Float(recipe.momentum), weight_decay: Float(recipe.weightDecay), nesterov: recipe.nesterov)
    let mode = tamring_enter_lane_mode()
    body(&rule)
    tamring_leave_lane_mode(mode)
  }
}
