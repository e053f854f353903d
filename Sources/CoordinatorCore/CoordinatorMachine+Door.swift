// What comes in from workers: each message is checked before anything decides about it.
import Shared
import Wire

extension CoordinatorMachine {
  mutating func receive(_ message: WorkerMessage, _ payload: Int?, from sender: Sender) {
    let worker = sender.worker
    let message = message.withReadableText
    if let problem = message.problem(in: settings.limits) {
      return refuse(message.kind, "\(worker)'s holds what cannot be: \(problem)")
    }
    if case .hello(let hello) = message { return greet(sender, hello) }
    guard membership.isKnown(worker) else {
      // A worker of an earlier coordinator, or one that was evicted. A newcomer's first heartbeat is neither.
      if case .heartbeat(let progress) = message, progress.generation == 0 { return }
      effects.append(.send(.identify(run: settings.run), to: sender))
      return
    }
    // Commits and checkpoints also count if they come from a worker that is back, but not yet in the generation.
    switch message {
    case .fault where !membership.isMember(worker):
      return refuse(message.kind, "\(worker) is no member of generation \(membership.number)")
    case .committed, .checkpointReady:
      guard membership.workers[worker.rank]?.isBelieved == true else {
        return refuse(message.kind, "\(worker) holds no state of this run, or one that was rolled back")
      }
    default: break
    }
    switch message {
    case .hello: break
    case .heartbeat(let progress):
      remember(sender)
      // An answer on each connection shows that it carries messages.
      effects.append(.send(.pulse([]), to: sender))
      ask { $0.heartbeat(worker, progress, at: $1) }
    case .standing(let report): ask { $0.reported(worker, report, at: $1) }
    case .prepared(let generation, let step, let weights):
      if generation == membership.number { holds(worker, step, weights) }
      ask { $0.prepared(worker, generation: generation, step: step, weights: weights, at: $1) }
    case .committed(let record): committed(record, worker)
    case .checkpointReady(let step, let blobs): checkpointReady(step, blobs, from: worker)
    case .evaluated(let task, let result): evaluated(task, result, by: worker)
    case .fault(let fault): faulted(fault, worker)
    case .leaving: ask { $0.leaving(worker, at: $1) }
    case .blobRequest(let request): effects.append(.serve(request, to: sender))
    case .blobPiece(let piece): tookPiece(piece, payload, from: worker)
    }
  }

  /// Counts a refused message by its kind. A summary is logged at most once a second.
  mutating func refuse(_ kind: String, _ reason: String) {
    if let text = refusals.count(kind, reason, at: now) { report(.message, text, level: .warning) }
  }

  private mutating func greet(_ sender: Sender, _ hello: Hello) {
    let worker = sender.worker
    if let past = hello.past, past.run == settings.run, past.acknowledged > collector.written {
      // Only a worker that the journal itself knows can show that the journal lacks something.
      guard membership.admission.expected.contains(worker) || membership.isMember(worker) else {
        return refuse("hello", "\(worker) acknowledges \(past.acknowledged) steps, of \(collector.written)")
      }
      return end(
        .damaged(
          "the journal ends after \(collector.written) steps, but \(worker) on \(hello.host) was told that it holds "
            + "\(past.acknowledged): restore run.db, or start again with another --run-dir"), at: .once)
    }
    remember(sender)
    // A rank is free if its process on this machine is gone, even if another program started it.
    if let holder = membership.workers[worker.rank], holder.identity != worker, holder.hello.host == settings.host {
      effects.append(.inspect(holder.identity, process: holder.hello.pid))
    }
    ask { $0.hello(worker, hello, at: $1) }
    if !membership.isKnown(worker) { connections[worker] = nil }
  }

  /// Answers go to a worker's newest connection.
  private mutating func remember(_ sender: Sender) {
    var known = connections[sender.worker] ?? (0, 0)
    switch sender.channel {
    case .control(let number): known.control = max(known.control, number)
    case .heartbeat(let number): known.heartbeat = max(known.heartbeat, number)
    }
    connections[sender.worker] = known
  }

  private mutating func committed(_ record: CommitRecord, _ worker: WorkerIdentity) {
    if record.step < collector.next { return send(.acknowledged(step: collector.next), to: worker) }
    guard record.generation <= membership.number else {
      return refuse("commit", "\(worker) reports a step of generation \(record.generation)")
    }
    // Each worker resends its records in order, so none is missing before the next. A coordinator that was started
    // again gets new ones first, and those that it lacks within a second.
    guard record.step <= collector.reported else {
      let since = recordsAheadSince ?? now
      recordsAheadSince = since
      guard now - since >= Self.patienceForRecords else { return }
      return refuse("commit", "\(worker) reports step \(record.step), but step \(collector.reported) comes next")
    }
    recordsAheadSince = nil
    do { unwritten += try collector.take(record, from: worker.rank) } catch {
      return end(.failed(.badData, "\(error)"), at: .once)
    }
    stateDigests[record.step + 1] = record.after
    holds(worker, record.step + 1, record.after)
    let reported = collector.reported
    ask { $0.committed(record, by: worker, recorded: reported, at: $1) }
  }

  private mutating func faulted(_ fault: Fault, _ worker: WorkerIdentity) {
    guard fault.generation == membership.number, membership.isMember(worker) else { return }
    switch fault.kind {
    case .silentPeer(let rank): return ask { $0.silentPeer(worker, rank, at: $1) }
    case .closedLink(let rank):
      return ask {
        $0.closedLink(worker, rank, at: $1); return []
      }
    case .clip(let lane, let clip):
      let clip = ClipExclusion(step: fault.step, lane: lane, clip: clip)
      return ask { $0.clipFailed(worker, clip, reason: fault.text, at: $1) }
    case .dataLost(let report): return ask { $0.dataLost(worker, report: report, reason: fault.text, at: $1) }
    case .corruption(let ranks): return corrupted(ranks, fault, worker)
    case .nonFiniteGradient, .other: break
    }
    report(.fault, "\(worker): \(fault.text)", level: .error)
    end(.failed(ExitStatus(rawValue: fault.status) ?? .failed, fault.text), at: .boundary)
    ask { $0.stopHere(fault.text, at: $1) }
  }

  private mutating func corrupted(_ ranks: [Int], _ fault: Fault, _ worker: WorkerIdentity) {
    guard membership.isRunning else { return }
    report(.corruption, "\(worker): \(fault.text)", level: .error)
    if !ranks.isEmpty, ranks.count < membership.members.count {
      for rank in ranks {
        guard let odd = membership.workers[rank] else { continue }
        ask { $0.lost(odd.identity, .fenced, reason: fault.text, at: $1) }
      }
      return
    }
    var again: [Membership.Action]?
    ask {
      again = ranks.isEmpty ? $0.recompute(fault.text, at: $1) : $0.restore(fault.text, at: $1)
      return again ?? []
    }
    // Twice at one step: this is no flipped bit, and the newest checkpoint is all that can be believed.
    if again == nil { end(.failed(.badData, fault.text), at: .once) }
  }
}

extension WorkerMessage {
  /// What to call it.
  fileprivate var kind: String {
    switch self {
    case .hello: "hello"
    case .heartbeat: "heartbeat"
    case .standing: "state report"
    case .prepared: "prepared"
    case .committed: "commit"
    case .checkpointReady: "checkpoint"
    case .evaluated: "evaluation"
    case .fault: "fault"
    case .leaving: "leaving"
    case .blobRequest, .blobPiece: "blob"
    }
  }
}
