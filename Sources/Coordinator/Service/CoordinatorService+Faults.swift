// Workers and their processes: finding, greeting, losing them; what is done about faults and signals.
import Foundation
import Glibc
import RunJournal
import Shared

extension CoordinatorService {
  /// Those workers of an earlier coordinator that were on this machine are known not to live where their process is
  /// gone; the others are waited for.
  func findWorkers() throws {
    note("looking for the workers of generation \(membership.number), which may have gone on")
    let own = ProcessInfo.processInfo.hostName
    for member in try journal?.presentMembers() ?? [] where member.host == own {
      guard let life = UInt64(member.incarnation), let pid = pid_t(exactly: member.pid), kill(pid, 0) == -1,
        errno == ESRCH
      else { continue }
      try perform(membership.gone(WorkerIdentity(rank: member.rank, incarnation: life), at: now))
    }
  }

  func greet(_ sender: WorkerIdentity, _ hello: Hello) throws {
    if let past = hello.past, past.run == plan.run {
      try journal?.requireSteps(Int(clamping: past.acknowledged), witness: "\(sender) on \(hello.host)")
    }
    // A rank whose process here is known to be gone is free, also where somebody else started it.
    if let holder = membership.workers[sender.rank], holder.identity != sender,
      holder.hello.host == ProcessInfo.processInfo.hostName, kill(holder.hello.pid, 0) == -1, errno == ESRCH
    {
      try perform(membership.lost(holder.identity, .dead, reason: "its process ended", at: now))
    }
    try perform(membership.hello(sender, hello, at: now))
  }

  func takeSignals() throws {
    for signal in signalled + signals.take() where signal != SIGCHLD { try stop() }
    signalled = []
    for ended in fleet.reap() {
      if let identity = pids.first(where: { $0.value == ended.pid && $0.key.rank == ended.rank })?.key, !ended.isRemote
      {
        pids[identity] = nil
        if membership.isKnown(identity) {
          try perform(membership.lost(identity, .dead, reason: "\(ended.reason) (log: \(ended.log))", at: now))
          continue
        }
        try perform(membership.gone(identity, at: now))
      }
      note("worker \(ended.rank)'s process ended: \(ended.reason) (log: \(ended.log))", level: .warning)
      if !finished { try perform(membership.ended(rank: ended.rank)) }
    }
  }

  func stop() throws {
    if interrupted {
      fleet.killAll()
      throw SharedError(.interrupted, "stopped at once; the newest checkpoint stays")
    }
    interrupted = true
    display.line("stopping at the next step with a checkpoint; once more to stop at once")
    if membership.phase == .gathering || evaluationStarted { finished = true }
    try perform(membership.stop())
  }

  func faulted(_ fault: Fault, _ sender: WorkerIdentity) throws {
    guard fault.generation == membership.number, membership.isMember(sender) else { return }
    switch fault.kind {
    case .silentPeer(let rank): return try perform(membership.silentPeer(sender, rank, at: now))
    case .closedLink(let rank): return membership.closedLink(sender, rank, at: now)
    case .clip(let lane, let clip):
      let clip = ClipVerdict(step: fault.step, lane: lane, clip: clip)
      return try perform(membership.clipFailed(sender, clip, reason: fault.text, at: now))
    case .corruption(let ranks): return try corrupted(ranks, fault, sender)
    case .nonFiniteGradient, .other: break
    }
    note("\(sender): \(fault.text)", level: .error)
    failure = SharedError(ExitStatus(rawValue: fault.status) ?? .failed, fault.text)
    try perform(membership.stopHere(fault.text, at: now))
  }

  func corrupted(_ ranks: [Int], _ fault: Fault, _ sender: WorkerIdentity) throws {
    guard membership.phase == .running else { return }
    note("\(sender): \(fault.text)", level: .error)
    if !ranks.isEmpty, ranks.count < membership.members.count {
      for rank in ranks {
        guard let worker = membership.workers[rank] else { continue }
        try perform(membership.lost(worker.identity, .condemned, reason: fault.text, at: now))
      }
      return
    }
    let again =
      ranks.isEmpty
      ? membership.computeAgain(fault.text, at: now) : membership.restore(fault.text, at: now)
    // Twice at one step: this is no flipped bit. Where nobody can be believed, the newest checkpoint is the last word.
    guard let again else { throw SharedError(.badData, fault.text) }
    try perform(again)
  }
}
