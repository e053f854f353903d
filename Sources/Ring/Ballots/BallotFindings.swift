// What a rank found while it quantised, and reports in its ballot.

/// A tensor whose scale must be raised to this exponent.
public struct RaisedExponent: Hashable, Sendable {
  public let tensor: UInt32
  public let exponent: Int32

  public init(tensor: UInt32, exponent: Int32) {
    self.tensor = tensor
    self.exponent = exponent
  }
}

/// A lane whose gradient of a tensor is not finite. `tensor` is `statistics` for a loss or a batch-norm statistic.
public struct NonFiniteGradient: Hashable, Sendable {
  public static let statistics = UInt32.max

  public let tensor: UInt32
  public let lane: UInt32

  public init(tensor: UInt32, lane: UInt32) {
    self.tensor = tensor
    self.lane = lane
  }
}
