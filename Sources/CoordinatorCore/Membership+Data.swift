// Clips and data that cannot be read: a clip is left out only where the clip is bad, and training waits where no worker
// can read anything.
import Shared

/// How an epoch is cut into steps, as far as leaving out clips needs to know it.
package struct EpochShape: Sendable {
  /// Clips of an epoch, and of a full step.
  package var clips = Int.max
  package var batch = Int.max
  /// The part of an epoch's clips that may be left out; eight always may.
  package var maximumLost = 0.01

  package init() {}

  var stepsPerEpoch: Int { max(1, clips / batch + (clips % batch == 0 ? 0 : 1)) }

  func epoch(of step: UInt64) -> UInt64 { step / UInt64(stepsPerEpoch) }

  func clips(in step: UInt64) -> Int {
    let place = Int(clamping: step % UInt64(stepsPerEpoch))
    return min(batch, clips - place * batch)
  }

  var mostLost: Int { max(8, Int(Double(clips) * maximumLost)) }
}

extension Membership {
  /// Training waits for data.
  struct Pause {
    /// Before this coordinator's start, if an earlier one began it.
    var since: Duration
    var isRecorded = false
    var said: Duration?
  }

  /// Takes note of whether a worker can read its data.
  mutating func data(of identity: WorkerIdentity, _ lost: String?, at now: Duration) -> [Action] {
    workers[identity.rank]?.hasSaidData = true
    guard let before = workers[identity.rank], before.dataLost != lost else { return [] }
    workers[identity.rank]?.dataLost = lost
    guard let lost else {
      let event = Action.report(RunEvent(.data, "\(identity) can read its data again"))
      switch phase {
      case .running: return [event] + order(.reform)
      case .paused: return [event] + reform("\(identity) can read its data again", at: now)
      case .recovering, .gathering, .halting, .preparing, .stopped: return [event]
      }
    }
    guard before.dataLost == nil else { return [] }
    let text = "\(identity) on \(before.hello.host) can read none of its data: \(lost); it gets no lanes until it can"
    return [.report(RunEvent(.data, text, level: .warning))]
  }

  /// A member cannot go on without data: its lanes go to others.
  mutating func dataLost(_ identity: WorkerIdentity, reason why: String, at now: Duration) -> [Action] {
    guard phase == .running, isMember(identity) else { return [] }
    return data(of: identity, why, at: now) + reform("\(identity) can read none of its data", at: now)
  }

  /// Before the first step, a run in which nobody can read anything has nothing to wait for.
  func endWithoutData() -> Action? {
    let ready = all.filter(\.ready)
    guard let first = ready.first, ready.allSatisfy({ $0.dataLost != nil }) else { return nil }
    return .end(
      .badData,
      "no worker can read its data; \(first.identity) on \(first.hello.host): \(first.dataLost ?? ""); check data.path "
        + "in the recipe and data= in the hosts file", atOnce: true)
  }

  // MARK: Waiting for data

  mutating func startPause(at now: Duration) -> [Action] {
    guard pause == nil else { return [] }
    pause = Pause(since: now)
    return []
  }

  mutating func endPause() -> [Action] {
    guard let ended = pause else { return [] }
    pause = nil
    let said: [Action] = wantsStop ? [] : [.report(RunEvent(.data, "training goes on"))]
    return said + (ended.isRecorded ? [.resumed] : [])
  }

  /// What a pause asks for as time goes by.
  mutating func wait(before next: UInt64, at now: Duration) -> [Action] {
    if evaluations.isDue(next), members.contains(where: { $0.dataLost == nil }) { return [] }
    // The coordinator may have been started again meanwhile.
    if let reader = members.first(where: { $0.hasSaidData && $0.dataLost == nil }) {
      return reform("\(reader.identity) can read its data", at: now)
    }
    var present = pause ?? Pause(since: now)
    defer { pause = present }
    let reason = members.compactMap { worker in worker.dataLost.map { "\(worker.identity): \($0)" } }.first ?? "unknown"
    var actions: [Action] = []
    // The checkpoint comes first: whatever becomes of the workers, the pause can be continued from there.
    if !present.isRecorded, checkpoint == next {
      present.isRecorded = true
      actions.append(.paused(step: next, reason: reason))
    }
    let waited = now - present.since
    if waited >= settings.dataWait {
      if case .paused = phase, checkpoint == next {
        let text =
          "no worker could read its data for \(waited.components.seconds) s (\(reason)); mount it again and start "
        actions.append(.end(.ioError, text + "the same command, which goes on from step \(next)", atOnce: false))
      }
      return actions
    }
    if present.said.map({ now - $0 >= .seconds(60) }) ?? true {
      present.said = now
      let left = (settings.dataWait - waited).components.seconds
      actions.append(
        .report(
          RunEvent(
            .data, "paused before step \(next): no worker can read its data (\(reason)); the run ends in \(left) s",
            level: .warning)))
    }
    return actions
  }

  // MARK: Clips

  /// A worker could not decode a clip, though it reads others: the rest try, one after the other; after that the step
  /// goes without it.
  mutating func clipFailed(
    _ identity: WorkerIdentity, _ clip: ClipVerdict, reason why: String, at now: Duration
  ) -> [Action] {
    guard phase == .running, isMember(identity) else { return [] }
    // The verdict may be all that is left of an earlier coordinator's decision.
    if verdicts.contains(clip) { return reform("step \(clip.step) goes without a clip", at: now) }
    clipFailures[clip, default: []].insert(identity.rank)
    // Whoever failed on another clip of the lane cannot compute it either.
    let unable = clipFailures[clip, default: []].union(avoided[clip.lane] ?? [])
    if members.contains(where: { !unable.contains($0.identity.rank) && $0.dataLost == nil }) {
      avoided[clip.lane, default: []].formUnion(unable)
      return [.report(RunEvent(.clip, "\(why); another worker tries"))] + reform("a clip is tried elsewhere", at: now)
    }
    // One that is back may have applied the step with the clip: then nobody has to go without it.
    if let back = all.first(where: {
      !isMember($0.identity) && $0.isBelieved && $0.hello.past?.next ?? 0 > clip.step
    }) {
      return reform("\(back.identity), which is back, has applied step \(clip.step)", at: now)
    }
    if let problem = problem(withLeavingOut: clip) {
      return [.end(.badData, "\(problem); the last: \(why)", atOnce: false)]
    }
    verdicts.append(clip)
    return [.verdict(clip, reason: why)] + reform("step \(clip.step) goes without a clip", at: now)
  }

  private func problem(withLeavingOut clip: ClipVerdict) -> String? {
    let epoch = settings.epoch.epoch(of: clip.step)
    let lost = Set(verdicts.filter { settings.epoch.epoch(of: $0.step) == epoch })
    if lost.count + 1 > settings.epoch.mostLost {
      return "more than \(settings.epoch.mostLost) clips of epoch \(epoch + 1) cannot be decoded by any worker "
        + "(data.maximum_lost is \(settings.epoch.maximumLost))"
    }
    if lost.count(where: { $0.step == clip.step }) + 1 >= settings.epoch.clips(in: clip.step) {
      return "no clip of step \(clip.step) can be decoded by any worker"
    }
    return nil
  }
}
