// What the coordinator makes durable: steps, generations, events; and what it does while the disk is full.
import Foundation
import Glibc
import Messaging
import RunJournal
import Shared
import VideoIndex

extension CoordinatorService {
  func record(_ generation: Generation, _ reason: String) throws {
    committed += collector.begin(generation)
    try writeDown()
    let lanes = Dictionary(uniqueKeysWithValues: generation.members.map { ($0.identity.rank, $0.lanes) })
    let row = GenerationRecord(
      number: Int(generation.number), startStep: Int(generation.startStep), reason: reason, lanes: lanes,
      ring: generation.members.map(\.identity.rank), createdAt: .now,
      plan: String(decoding: try JSONEncoder().encode(generation), as: UTF8.self))
    try durably { try $0.record(row) }
    try recordFingerprint()
    if generation.number > 1 || reason != "start" {
      note("generation \(generation.number) from step \(generation.startStep): \(reason)")
    }
  }

  /// What the members' bits depend on; the run may have begun with something else.
  private func recordFingerprint() throws {
    guard let first = membership.members.first else { return }
    var entries = first.hello.fingerprint
    entries["self-test"] = first.selfTest?.description
    let text = entries.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }.joined(separator: ", ")
    var before: String?
    try durably { before = try $0.recordFingerprint(text) }
    if let before {
      note("the run began with \(before) and goes on with \(text): its bits may differ", level: .warning)
    }
  }

  /// Writes the steps that have come to the journal, tells the workers, shows them.
  func writeDown() throws {
    guard !committed.isEmpty else { return }
    let steps = committed
    committed = []
    let rows = steps.map { journaled($0) }
    try durably { _ = try $0.recordCommits(rows) }
    fleet.stepped()
    for worker in membership.members { try send(.acknowledged(step: collector.next), to: worker.identity) }
    for step in steps {
      stepLedger?.add(step)
      let (line, endsEpoch) = progress.line(step, workers: membership.members.count, at: now)
      display.living(line, at: now, matters: endsEpoch)
      if endsEpoch { display.keep() }
      for line in stepLedger?.lines(at: now, endsEpoch: endsEpoch) ?? [] { display.line(line) }
    }
  }

  func journaled(_ step: CommittedStep) -> JournalCommit {
    let record = step.record
    let shards = plan.shards
    let epoch = Int(record.step) / shards.stepsPerEpoch
    let order = epochOrder(epoch)
    let consumed = (0..<shards.lanes).flatMap { lane in
      order.clips(step: Int(record.step) % shards.stepsPerEpoch, lane: lane, in: shards).filter {
        !membership.verdicts.contains(ClipVerdict(step: record.step, lane: lane, clip: $0))
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

  func epochOrder(_ epoch: Int) -> EpochOrder {
    if let cachedOrder, cachedOrder.epoch == epoch { return cachedOrder.order }
    let order = EpochOrder(seed: plan.recipe.seed, epoch: epoch, count: plan.indexes.train.clips.count)
    cachedOrder = (epoch, order)
    return order
  }

  func note(_ text: String, level: EventRecord.Level = .info) {
    display.line(level == .info ? text : "\(level): \(text)")
    do { try journal?.record(EventRecord(at: .now, level: level, source: "coordinator", text: text)) } catch {
      display.line("the journal could not take an event: \(error)")
    }
  }

  /// Makes something durable. While the disk is full or fails, this waits and tries again: nothing is decided
  /// meanwhile, and the workers go on by themselves.
  func durably(_ write: (Journal) throws -> Void) throws {
    guard let journal else { return }
    var told = false
    while true {
      do {
        try write(journal)
        if told { display.line("the journal can be written again") }
        return
      } catch let error as JournalError where error.isTransient {
        if !told { display.line("warning: \(error); training goes on and will be written down when this works again") }
        told = true
        try stayHeard(for: .milliseconds(200))
      }
    }
  }

  /// Answers heartbeats, so that no worker thinks itself left alone; everything else comes again.
  func stayHeard(for time: Duration) throws {
    _ = try Poller.wait(for: [PollItem(signals)], timeout: time)
    let came = signals.take().filter { $0 != SIGCHLD }
    signalled += came
    if signalled.count > 1 { try signalled.forEach { _ in try stop() } }
    while let parts = try socket.receive(dontWait: true) {
      guard let name = parts.first.flatMap({ String(bytes: $0, encoding: .utf8) }), let sender = identity(name) else {
        continue
      }
      if case .heartbeat? = try? ControlCodec.decode(WorkerMessage.self, Array(parts.dropFirst())).0 {
        try send(.pulse([]), to: sender)
      }
    }
  }
}
