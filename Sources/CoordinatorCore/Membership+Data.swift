// Clips and data that cannot be read: a clip is excluded only where the clip is bad, and training waits where no worker
// can read anything.
import Shared
import Wire

extension Membership {
  /// Takes note of whether a worker can read its data, unless a later report has overtaken this one.
  /// - Returns: the worker before, if that changed.
  mutating func takeReport(of identity: WorkerIdentity, _ lost: String?, _ report: Int) -> Worker? {
    guard let before = workers[identity.rank], report >= before.dataReport else { return nil }
    workers[identity.rank]?.hasReportedData = true
    workers[identity.rank]?.dataReport = report
    workers[identity.rank]?.dataLost = lost
    return before.dataLost == lost ? nil : before
  }

  mutating func data(of identity: WorkerIdentity, _ lost: String?, report: Int, at now: Duration) -> [Action] {
    guard let before = takeReport(of: identity, lost, report) else { return [] }
    guard let lost else {
      let event = Action.report(RunEvent(.data, "\(identity) can read its data again"))
      switch phase {
      case .running: return [event] + issue(.reconfigure)
      case .paused: return [event] + reconfigure("\(identity) can read its data again", at: now)
      case .recovering, .gathering, .halting, .preparing, .stopped: return [event]
      }
    }
    guard before.dataLost == nil else { return [] }
    let text = "\(identity) on \(before.hello.host) can read none of its data: \(lost); it gets no lanes until it can"
    return [.report(RunEvent(.data, text, level: .warning))]
  }

  /// A member cannot go on without data: its lanes go to others.
  mutating func dataLost(
    _ identity: WorkerIdentity, report: Int, reason why: String, at now: Duration
  ) -> [Action] {
    guard isRunning, isMember(identity) else { return [] }
    return data(of: identity, why, report: report, at: now)
      + reconfigure("\(identity) can read none of its data", at: now)
  }

  /// Before the first step, a run in which nobody can read anything has nothing to wait for.
  func endWithoutData() -> Action? {
    let ready = all.filter(\.isReady)
    guard let first = ready.first, ready.allSatisfy({ $0.dataLost != nil }) else { return nil }
    return .end(
      .badData,
      "no worker can read its data; \(first.identity) on \(first.hello.host): \(first.dataLost ?? ""); check data.path "
        + "in the recipe and data= in the hosts file", atOnce: true)
  }

  // MARK: Waiting for data

  mutating func startPause(at now: Duration) -> [Action] {
    if pause == nil { pause = DataPause(since: now) }
    return []
  }

  mutating func endPause() -> [Action] {
    guard let ended = pause else { return [] }
    pause = nil
    let report: [Action] = wantsStop ? [] : [.report(RunEvent(.data, "training goes on"))]
    return report + (ended.isJournaled ? [.resumed] : [])
  }

  /// What a pause asks for as time goes by.
  mutating func wait(before next: UInt64, at now: Duration) -> [Action] {
    if pause == nil, members.contains(where: { $0.dataLost == nil }) {
      // Done when the result is in the journal, and the checkpoint on the disk.
      return awaitsEvaluation(before: next) ? [] : reconfigure("what was due before step \(next) is evaluated", at: now)
    }
    // The coordinator may have been restarted meanwhile.
    if let reader = members.first(where: { $0.hasReportedData && $0.dataLost == nil }) {
      return reconfigure("\(reader.identity) can read its data", at: now)
    }
    var present = pause ?? DataPause(since: now)
    defer { pause = present }
    let reason = members.compactMap { worker in worker.dataLost.map { "\(worker.identity): \($0)" } }.first ?? "unknown"
    var actions: [Action] = []
    // The checkpoint comes first: whatever becomes of the workers, the pause can be continued from there.
    if !present.isJournaled, checkpoint == next {
      present.journal()
      actions.append(.paused(step: next, reason: reason))
    }
    let waited = now - present.since
    if waited >= settings.dataWait {
      if checkpoint == next {
        let text =
          "no worker could read its data for \(waited.components.seconds) s (\(reason)); mount it again and start "
        actions.append(.end(.ioError, text + "the same command, which goes on from step \(next)", atOnce: false))
      }
    } else if present.takeReport(at: now) {
      let left = (settings.dataWait - waited).components.seconds
      let text = "paused before step \(next): no worker can read its data (\(reason)); the run ends in \(left) s"
      actions.append(.report(RunEvent(.data, text, level: .warning)))
    }
    return actions
  }

  // MARK: Clips

  /// A worker could not decode a clip, though it reads others: the rest try, one after the other; after that the step
  /// goes without it.
  mutating func clipFailed(
    _ identity: WorkerIdentity, _ clip: ClipExclusion, reason why: String, at now: Duration
  ) -> [Action] {
    guard isRunning, isMember(identity) else { return [] }
    let goesWithout = "step \(clip.step) goes without a clip"
    // A restarted coordinator knows the exclusion from the journal, and workers may not have heard of it.
    if clips.contains(clip) { return reconfigure(goesWithout, at: now) }
    let unable = clips.failed(clip, on: identity.rank)
    if members.contains(where: { !unable.contains($0.identity.rank) && $0.dataLost == nil }) {
      clips.avoid(unable, lane: clip.lane)
      return [.report(RunEvent(.clip, "\(why); another worker tries"))]
        + reconfigure("a clip is tried elsewhere", at: now)
    }
    // One that is back may have applied the step with the clip: then nobody has to go without it.
    if let back = all.first(where: {
      !isMember($0.identity) && $0.isBelieved && $0.hello.past?.next ?? 0 > clip.step
    }) {
      return reconfigure("\(back.identity), which is back, has applied step \(clip.step)", at: now)
    }
    if let problem = clips.problem(excluding: clip, settings.epoch) {
      return [.end(.badData, "\(problem); the last: \(why)", atOnce: false)]
    }
    clips.exclude(clip)
    return [.exclude(clip, reason: why)] + reconfigure(goesWithout, at: now)
  }
}
