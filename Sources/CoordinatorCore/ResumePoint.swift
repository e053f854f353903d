// The step at which a generation resumes, as a function of its members' state reports.
import Shared
import Wire

struct ResumePoint {
  /// The highest step before which a member holds the state, or can get there by itself; nil where none does.
  let step: UInt64?
  /// How the step below was applied.
  private let last: StateReport.Last?

  /// - Parameter reports: those of the members whose states count, by rank.
  init(_ reports: [StateReport], _ position: RunPosition) {
    var step = reports.compactMap(\.next).max()
    // A rank that is gone may have applied the sum that the others froze; its record shows it.
    if let frozen = step, let last = position.last, position.committed == frozen + 1,
      reports.contains(where: { $0.next == frozen && $0.vote == last.vote })
    {
      step = frozen + 1
    }
    // The step may have been repeated since a rank voted, in another attempt or generation: that is another sum.
    last =
      reports.first { $0.next == step && $0.last != nil }?.last ?? (position.committed == step ? position.last : nil)
    self.step = step
  }

  /// Whether the member of this report holds the state, or has frozen the sum that leads to it.
  func isReached(by report: StateReport) -> Bool {
    guard let step, let next = report.next else { return false }
    return next == step || (next + 1 == step && last != nil && report.vote == last?.vote)
  }

  /// A member that reaches this point takes the state from its own memory.
  var ownSource: StateSource { .own(skipping: last?.skipped ?? false) }
}
