// The directives of the present generation.
import Shared
import Wire

struct DirectiveQueue {
  /// Issued, and not carried out yet.
  private(set) var pending: [Directive]
  /// Of the newest directive.
  private(set) var sequence: UInt64

  init(_ past: Membership.Past) {
    pending = past.directives
    sequence = max(past.directives.last?.sequence ?? 0, past.generation?.directivesDone ?? 0)
  }

  /// - Returns: the new directive; nil where one of this kind is pending.
  mutating func issue(_ kind: Directive.Kind) -> Directive? {
    guard !pending.contains(where: { $0.kind == kind }) else { return nil }
    sequence += 1
    let directive = Directive(sequence: sequence, kind: kind)
    pending.append(directive)
    return directive
  }

  /// The generation that they were for is over.
  mutating func clear() { pending = [] }
}
