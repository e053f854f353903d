// Collects the ranks' records of each step until the step can be journaled. Pure.
import Shared
import Wire

/// A step that every rank of its generation has reported, or that no other rank will report.
package struct CommittedStep: Equatable, Sendable {
  /// The first rank's record. Its `share` is only that rank's.
  package var record: CommitRecord
  package var shares: [Int: CommitRecord.Share]

  package init(record: CommitRecord, shares: [Int: CommitRecord.Share]) {
    self.record = record
    self.shares = shares
  }

  package var rawBytes: UInt64 { shares.values.reduce(0) { $0 + $1.rawBytes } }
  package var wireBytes: UInt64 { shares.values.reduce(0) { $0 + $1.wireBytes } }

  /// The slowest rank's seconds in one phase of the step.
  package func slowest(_ phase: KeyPath<StepTimes, Double>) -> Double {
    shares.values.map { $0.times[keyPath: phase] }.max() ?? 0
  }
}

/// Steps leave in order, each once. As long as its generation lives, a step waits for every rank's record.
struct CommitCollector {
  /// Every step below has left.
  private(set) var next: UInt64
  private var waiting: [UInt64: CommittedStep] = [:]
  private var ranks: Set<Int> = []

  /// Steps that the journal ever held, those that were rolled back included, as far as this coordinator knows.
  var written: UInt64 { max(writtenBefore, next) }
  private var writtenBefore: UInt64

  /// - Parameter written: steps that the journal has ever held.
  init(next: UInt64, written: UInt64 = 0) {
    self.next = next
    writtenBefore = written
  }

  /// A generation begins: no more records come from the one before.
  mutating func begin(_ generation: Generation) -> [CommittedStep] {
    let left = release(below: generation.startStep)
    ranks = Set(generation.members.map(\.identity.rank))
    return left
  }

  /// The steps from `step` on are recomputed.
  mutating func rollBack(to step: UInt64) {
    waiting = waiting.filter { $0.key < step }
    writtenBefore = written
    next = min(next, step)
  }

  /// Every step below has been reported by one rank at least.
  var reported: UInt64 {
    var step = next
    while waiting[step] != nil { step += 1 }
    return step
  }

  /// - Returns: the steps that can be journaled now.
  /// - Throws: `SharedError(.badData)` where two ranks committed different sums.
  mutating func take(_ record: CommitRecord, from rank: Int) throws -> [CommittedStep] {
    guard record.step >= next else { return [] }
    var step = waiting[record.step] ?? CommittedStep(record: record, shares: [:])
    guard step.record.digest == record.digest, step.record.weights == record.weights else {
      throw SharedError(
        .badData, "step \(record.step): rank \(rank) committed another sum than the others; the run cannot go on")
    }
    guard step.record.clipPairs == record.clipPairs else {
      throw SharedError(
        .badData, "step \(record.step): rank \(rank) trained other clips than the others; the run cannot go on")
    }
    step.shares[rank] = record.share
    waiting[record.step] = step
    return release()
  }

  private func isComplete(_ step: CommittedStep) -> Bool {
    step.shares.count >= ranks.count && ranks.isSubset(of: step.shares.keys)
  }

  /// Releases the steps below `end` as they are, and those from there on if they are complete.
  mutating func release(below end: UInt64 = 0) -> [CommittedStep] {
    var left: [CommittedStep] = []
    while let step = waiting[next], next < end || isComplete(step) {
      left.append(step)
      waiting[next] = nil
      next += 1
    }
    return left
  }
}
