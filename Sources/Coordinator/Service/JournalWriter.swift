// How the decisions of a coordinator become rows of the journal.
import Checkpoint
import CoordinatorCore
import Dataset
import Foundation
import Glibc
import RunJournal
import Shared
import Wire

final class JournalWriter {
  private let journal: Journal
  private let plan: RunPlan
  private let orders: EpochOrders
  private var cachedOrder: (epoch: Int, order: EpochOrder)?

  /// - Throws: `DatasetError` if the clips cannot be drawn as the recipe wants.
  init(_ journal: Journal, _ plan: RunPlan) throws {
    orders = try EpochOrders(seed: plan.recipe.seed, plan.indexes.train, balanced: plan.recipe.data.balanced)
    self.journal = journal
    self.plan = plan
  }

  /// - Returns: what was kept before, if it was something else.
  func fingerprint(_ text: String) throws -> String? { try journal.recordFingerprint(text) }

  func write(_ event: RunEvent) throws {
    let level: EventRecord.Level =
      switch event.level {
      case .info: .info
      case .warning: .warning
      case .error: .error
      }
    try journal.record(EventRecord(at: .now, level: level, source: "coordinator", text: event.text))
  }

  func write(_ entry: JournalEntry) throws {
    switch entry {
    case .joined(let worker, let hello):
      try journal.memberJoined(
        MemberRecord(
          rank: worker.rank, incarnation: String(worker.incarnation), host: hello.host, pid: Int(hello.pid),
          threads: hello.threads, joinedAt: .now))
    case .left(let worker, let reason):
      try journal.memberLeft(rank: worker.rank, incarnation: String(worker.incarnation), reason: reason, at: .now)
    case .disbanded(let reason):
      for member in try journal.presentMembers() {
        try journal.memberLeft(rank: member.rank, incarnation: member.incarnation, reason: reason, at: .now)
      }
    case .generation(let generation, let reason): try journal.record(row(generation, reason))
    case .fingerprint(let text): _ = try fingerprint(text)
    case .steps(let steps, let excluded): _ = try journal.recordCommits(steps.map { row($0, Set(excluded)) })
    case .rollBack(let step, let reason): _ = try journal.rollBack(to: Int(step), reason: reason, at: .now)
    case .directive(let directive):
      try journal.record(
        DirectiveRecord(seq: Int(directive.sequence), kind: directive.kind.rawValue, issuedAt: .now))
    case .exclusion(let clip, let reason):
      try journal.record(
        VerdictRecord(
          step: Int(clip.step), clip: clip.clip, epoch: plan.steps.epoch(of: clip.step), lane: clip.lane,
          reason: reason, decidedAt: .now))
    case .evaluation(let step, let state, let result):
      try journal.record(
        EvaluationRecord(
          step: Int(step), clips: result.clips, top1: result.top1, top5: result.top5, at: .now,
          stateDigest: state?.description ?? "", lossSum: Int(result.loss),
          meanPrecision: result.meanPrecision.map { Int($0) }))
    case .paused(let step, let reason):
      try journal.paused(PauseRecord(step: Int(step), reason: reason, startedAt: .now))
    case .resumed: try journal.resumed(at: .now)
    }
  }

  func admitted(_ key: PublicKey, as worker: WorkerIdentity) throws {
    try journal.record(
      WorkerKeyRecord(
        rank: worker.rank, incarnation: String(worker.incarnation), key: key.description, admittedAt: .now))
  }

  func wrote(_ stored: StoredCheckpoint) throws {
    try journal.record(
      CheckpointRecord(
        step: stored.step, path: stored.path, manifestSha256: stored.manifestDigest, bytes: stored.bytes,
        createdAt: .now))
  }

  func pruned(_ steps: [Int]) throws {
    for step in steps { try journal.checkpointRemoved(step: step, reason: "pruned", at: .now) }
  }

  func vanishedMembers() throws -> [WorkerIdentity] { try journal.vanishedMembers() }

  // MARK: Rows

  private func row(_ generation: Generation, _ reason: String) throws -> GenerationRecord {
    let lanes = Dictionary(uniqueKeysWithValues: generation.members.map { ($0.identity.rank, $0.lanes) })
    return GenerationRecord(
      number: Int(generation.number), startStep: Int(generation.startStep), reason: reason, lanes: lanes,
      ring: generation.members.map(\.identity.rank), createdAt: .now,
      plan: String(decoding: try JSONEncoder().encode(generation), as: UTF8.self))
  }

  private func row(_ step: CommittedStep, _ excluded: Set<ClipExclusion>) -> JournalCommit {
    let record = step.record
    let epoch = plan.steps.epoch(of: record.step)
    let order = epochOrder(epoch)
    let consumed = (0..<plan.steps.lanes).flatMap { lane in
      order.clips(step: record.step, lane: lane, in: plan.steps).filter {
        !excluded.contains(ClipExclusion(step: record.step, lane: lane, clip: $0))
      }.map { ConsumedClip(lane: lane, clip: $0) }
    }
    let row = StepRecord(
      step: Int(record.step), epoch: epoch, generation: Int(record.generation), attempt: Int(record.attempt),
      digest: record.digest.description, weightsDigest: record.weights.description,
      stateDigest: record.after.description, pairsDigest: record.clipPairs.description, loss: record.loss,
      top1: record.top1, top5: record.top5, clips: record.clips, learningRate: record.learningRate,
      gradientBits: plan.recipe.exchange.gradientBits, rawBytes: Int(step.rawBytes), wireBytes: Int(step.wireBytes),
      ringSeconds: step.slowest(\.ring), computeSeconds: step.slowest(\.compute),
      decodeWaitSeconds: step.slowest(\.decodeWait), reporter: step.shares.keys.min() ?? 0, committedAt: .now)
    let shares = step.shares.map { rank, share in
      ShareRecord(
        rank: rank, lanes: share.lanes.count, rawBytes: Int(share.rawBytes), wireBytes: Int(share.wireBytes),
        times: share.times)
    }
    return JournalCommit(step: row, consumed: consumed, shares: shares)
  }

  private func epochOrder(_ epoch: Int) -> EpochOrder {
    if let cachedOrder, cachedOrder.epoch == epoch { return cachedOrder.order }
    let order = orders.order(epoch: epoch)
    cachedOrder = (epoch, order)
    return order
  }
}

extension Journal {
  /// Workers that had not left, were on this machine, and whose process is gone.
  func vanishedMembers() throws -> [WorkerIdentity] {
    let own = ProcessInfo.processInfo.hostName
    return try presentMembers().compactMap { member in
      guard member.host == own, let life = UInt64(member.incarnation), let process = Int32(exactly: member.pid),
        kill(process, 0) == -1, errno == ESRCH
      else { return nil }
      return WorkerIdentity(rank: member.rank, incarnation: life)
    }
  }
}
