// The protocol that an optimiser implements.
import BLVNet
import CKernels
import Recipes
import Shared

/// Numbers that an update rule keeps beside the parameters: one for each of them.
public struct RuleSlot: Sendable, Hashable {
  /// What to call it, such as `momentum`.
  public let name: String
  /// Before a parameter's name, the tensor's name in a checkpoint's trainer.safetensors.
  public let prefix: String
  public let initial: Float

  /// - Parameter prefix: `NAME.` by default.
  public init(_ name: String, prefix: String? = nil, initial: Float = 0) {
    self.name = name
    self.prefix = prefix ?? name + "."
    self.initial = initial
  }
}

/// How a gradient changes the parameters: an optimiser. It keeps nothing itself; what it remembers is in its slots,
/// which checkpoints, digests and state transfers include without knowing what they mean.
///
/// A rule must compute the same bits on every machine: operations that round once, in a fixed order, and no function of
/// the C mathematics library.
public protocol UpdateRule: Sendable {
  /// - Parameter recipe: the rule's hyperparameters.
  init(_ recipe: OptimizerRecipe)

  /// In the order of the state's digest.
  var slots: [RuleSlot] { get }

  /// Performs one step on one tensor. Called with subnormal numbers flushed to zero, as in a lane.
  func update(_ tensor: TensorUpdate)
}

/// The gradient of a step, summed over its clips.
public enum StepGradient {
  /// The reduced integers, and of each tensor of the layout the exponent of their scale: g = q · 2^exponent.
  case reduced(AlignedStorage<Int32>, exponents: [Int32])
  case summed(FloatStorage)

  var count: Int {
    switch self {
    case .reduced(let sum, _): sum.count
    case .summed(let sum): sum.count
    }
  }
}

/// One tensor of one step: what an update rule reads and writes.
public struct TensorUpdate {
  /// The tensor's index in the layout, and its elements in all storages below.
  public let index: Int
  public let range: Range<Int>
  public let parameters: FloatStorage
  /// In the order of the rule's declaration.
  public let slots: [FloatStorage]
  public let gradient: StepGradient
  /// Where the tensor's elements begin in `gradient`.
  public let gradientOffset: Int
  /// What the sum is divided by: the step's clips, or the sum of their weights; more if the gradient is clipped.
  public let divisor: Float
  /// The tensor's own, its group's factor included.
  public let rate: Float
  /// The group's factor of the recipe's weight decay.
  public let decayFactor: Double
  /// From 0.
  public let step: UInt64

  /// 2^exponent of the tensor's integers.
  public func scale(_ exponents: [Int32]) -> Float {
    let exponent = exponents[index]
    precondition((-126...127).contains(exponent), "tensor \(index): a scale of 2^\(exponent)")
    return Float(sign: .plus, exponent: Int(exponent), significand: 1)
  }

  private func place(_ i: Int) -> Int { i - range.lowerBound + gradientOffset }

  /// The mean gradient of element `i` of the storages, for rules without a kernel of their own.
  public func meanGradient(_ i: Int) -> Float {
    switch gradient {
    case .reduced(let sum, let exponents): Float(sum[place(i)]) * scale(exponents) / divisor
    case .summed(let sum): sum[place(i)] / divisor
    }
  }
}
