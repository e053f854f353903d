// What a rank has heard of the coordinator, as one number of its ballot, of which the least counts.

/// The newest directive that a rank agrees to, and whether it hears the coordinator at all.
///
/// A rank that hears no coordinator agrees to no new directive. So the least of all codes has the least directive, and
/// is even if any rank hears no coordinator.
public struct Heard: Hashable, Sendable {
  public var directive: UInt64
  /// Of the least code: whether all ranks hear the coordinator.
  public var coordinator: Bool

  public init(directive: UInt64, coordinator: Bool) {
    self.directive = directive
    self.coordinator = coordinator
  }

  public init(code: UInt64) { self.init(directive: code >> 1, coordinator: code & 1 == 1) }

  public var code: UInt64 { directive << 1 | (coordinator ? 1 : 0) }
}
