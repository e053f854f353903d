// What comes after training: the last checkpoint, the evaluation, sending everybody home.
import Foundation
import Messaging
import RunJournal
import Shared

extension CoordinatorService {
  /// Goes on to what comes after training.
  func advance() throws {
    guard case .stopped(let next) = membership.phase, !finished else { return }
    committed += collector.release(below: .max)
    try writeDown()
    guard newestCheckpoint.map({ UInt64($0.step) }) == next || plan.evaluateOnly != nil else { return }
    if interrupted || failure != nil || plan.indexes.validation.clips.isEmpty {
      finished = true
      return
    }
    if !evaluationStarted {
      evaluationStarted = true
      evaluation = EvaluationQueue(clips: plan.indexes.validation.clips.count, clipsPerTask: 8)
      try offerEvaluation()
    }
    if evaluation?.isDone == true { finished = true }
  }

  func offerEvaluation() throws {
    guard evaluationStarted else { return }
    for worker in membership.evaluators {
      guard let task = evaluation?.task(for: worker) else { continue }
      try send(.evaluate(task), to: worker)
    }
    if let total = evaluation?.total {
      display.living("validation  \(total.clips)/\(plan.indexes.validation.clips.count) clips", at: now)
    }
  }

  /// Sends everybody home and waits until they are gone.
  func disband() throws {
    for worker in membership.workers.values {
      try send(.dismiss(reason: "the run is over", clean: true), to: worker.identity)
    }
    let deadline = now + .seconds(10)
    while !fleet.isEmpty, now < deadline {
      _ = try Poller.wait(for: [PollItem(signals)], timeout: .milliseconds(500))
      _ = signals.take()
      _ = fleet.reap()
      for worker in membership.workers.values {
        try send(.dismiss(reason: "the run is over", clean: true), to: worker.identity)
      }
    }
    fleet.killAll()
    for member in try journal?.presentMembers() ?? [] {
      try durably {
        try $0.memberLeft(rank: member.rank, incarnation: member.incarnation, reason: "the run is over", at: .now)
      }
    }
  }
}
