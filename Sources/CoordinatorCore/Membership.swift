// Who trains, in which generation, on which lanes: every decision of the coordinator about its workers. Pure: an event
// and a time go in, a list of actions comes out, which `CoordinatorMachine` performs. Here are the parts of the state
// and the events; joining, failures, the making of a generation and lost data have files of their own.
import Shared
import Wire

/// The coordinator's view of its workers.
///
/// A generation is made in three moves: everybody alive is halted and reports its state; from the reports follows the
/// step to resume at, and each gets the state before it; then the generation begins. A death starts the moves again
/// with a higher number, so there is one path for the first start, a resume, a death and a newcomer.
package struct Membership {
  package struct Worker {
    package let identity: WorkerIdentity
    package internal(set) var hello: Hello
    /// Holds the indexes, and waits to be made a member.
    var isReady = false
    /// Its state may be one that was rolled back while it was away: it must get another.
    package internal(set) var isStale = false
    /// Bits that it would compute; nil where it was not asked again.
    package internal(set) var selfTest: SelfTest?
    /// Was asked to end, and goes at the next boundary.
    var isLeaving = false
    /// Why it can read none of its data, while that is so: it gets no lanes.
    package internal(set) var dataLost: String?
    /// The number of its newest report on that.
    var dataReport = 0
    /// It has reported whether it can read its data.
    var hasReportedData = false

    /// Its reports of steps count.
    package var isBelieved: Bool { isReady && !isStale }
  }

  let settings: Settings
  package internal(set) var phase: Phase
  package internal(set) var workers: [Int: Worker] = [:]
  /// The generation that runs, or ran last.
  package internal(set) var generation: Generation? {
    didSet { memberIdentities = Set(generation?.members.map(\.identity) ?? []) }
  }
  private var memberIdentities: Set<WorkerIdentity>
  /// The number of the generation that runs or is being made.
  package internal(set) var number: UInt32
  /// The lowest number that this coordinator gives. An earlier one may have halted workers for generations that it did
  /// not journal any more.
  let firstNumber: UInt32
  var position: RunPosition
  var detector: FailureDetector
  var admission: Admission
  var links = BrokenLinks()
  var directives: DirectiveQueue
  var balance = LaneBalance()
  var clips: ClipExclusions
  var corruption = CorruptionRecovery()
  var pause: DataPause?
  var wantsStop = false
  /// The states that are evaluated between two steps.
  package internal(set) var evaluations: EvaluationPlan
  /// Since when workers are gathered.
  var gatheringSince: Duration?
  /// When unanswered messages were last sent again.
  var resent: Duration = .zero

  init(_ settings: Settings, past: Past = Past(), evaluations: EvaluationPlan = EvaluationPlan()) {
    self.settings = settings
    self.evaluations = evaluations
    phase =
      past.present.isEmpty ? .gathering : .recovering(until: settings.evictAfter + settings.repeatAfter, reports: [:])
    generation = past.generation
    memberIdentities = Set(past.generation?.members.map(\.identity) ?? [])
    number = max(past.number, past.generation?.number ?? 0)
    firstNumber = number == 0 ? 1 : number + 1000
    position = RunPosition(past)
    detector = FailureDetector(settings)
    admission = Admission(expected: past.present)
    directives = DirectiveQueue(past)
    clips = ClipExclusions(past.exclusions)
    pause = past.pausedFor.map { DataPause(elapsed: $0) }
  }

  /// All workers, by rank.
  package var all: [Worker] { workers.keys.sorted().compactMap { workers[$0] } }

  package var members: [Worker] { all.filter { isMember($0.identity) } }

  /// The workers of the generation being made, by rank.
  package var participants: [Worker] { phase.participants.compactMap { workers[$0] } }

  package var isRunning: Bool { phase.isRunning }

  /// Whether the generation being made starts from the checkpoint, whatever states there are.
  package var restores: Bool { corruption.restores }

  var checkpoint: UInt64? { position.checkpoint }

  package func isMember(_ identity: WorkerIdentity) -> Bool { memberIdentities.contains(identity) }

  package func isKnown(_ identity: WorkerIdentity) -> Bool { workers[identity.rank]?.identity == identity }

  /// Whether a worker's progress has not changed for so long that it hangs, if it has something to do.
  func isStuck(_ identity: WorkerIdentity, at now: Duration) -> Bool { detector.isStuck(identity.rank, at: now) }

  mutating func remove(_ rank: Int) {
    workers[rank] = nil
    detector.remove(rank)
    balance.remove(rank)
    phase.remove(rank)
  }

  /// Whether the state before `step` is to be evaluated, and kept as a checkpoint, before training goes on.
  func awaitsValidation(before step: UInt64) -> Bool {
    step < settings.lastStep && evaluations.isPlanned(step)
      && (!evaluations.isDone(step) || checkpoint ?? 0 < step)
  }

  /// Whether a state is to be evaluated before step `step` is trained: the one before it, or one that was passed.
  func awaitsEvaluation(before step: UInt64) -> Bool {
    awaitsValidation(before: step) || evaluations.ready(before: step) != nil
  }

  /// States that were passed can be evaluated: the members wait for that at the next boundary.
  mutating func evaluatePassed() -> [Action] {
    isRunning && evaluations.ready(before: position.committed) != nil ? issue(.reconfigure) : []
  }

  // MARK: Events

  mutating func heartbeat(_ identity: WorkerIdentity, _ progress: Progress, at now: Duration) -> [Action] {
    guard isKnown(identity), let worker = workers[identity.rank] else { return [] }
    let wasSuspected = detector.heartbeat(identity.rank, progress, at: now)
    var actions = [Action.send(identity, .pulse(isRunning && isMember(identity) ? directives.pending : []))]
    if !worker.isReady, progress.generation > 0 { actions += askAgain(identity) }
    actions += data(of: identity, progress.dataLost, report: progress.dataReport, at: now)
    if wasSuspected { actions.append(.report(RunEvent(.workerRecovered, "\(identity) is heard again"))) }
    return actions
  }

  /// It has been in a run, but its hello does not say so: that was an old one.
  private func askAgain(_ identity: WorkerIdentity) -> [Action] { [.send(identity, .identify(run: settings.run))] }

  /// A state report has come.
  mutating func reported(_ identity: WorkerIdentity, _ report: StateReport, at now: Duration) -> [Action] {
    guard isKnown(identity) else { return [] }
    if report.generation == 0 { return becameReady(identity, report, at: now) }
    if workers[identity.rank]?.isReady == false { return askAgain(identity) }
    guard report.generation == number else { return [] }
    phase.take(report, from: identity.rank)
    _ = takeReport(of: identity, report.dataLost, report.dataReport)
    switch phase {
    case .halting(let halt): return resolve(halt, at: now)
    case .running(let reports): return boundary(reports, report.next, at: now)
    case .recovering, .gathering, .preparing, .paused, .stopped: return []
    }
  }

  /// A newcomer is ready to be made a member.
  private mutating func becameReady(_ identity: WorkerIdentity, _ report: StateReport, at now: Duration) -> [Action] {
    if let selfTest = report.selfTest, let refusal = refusal(of: identity, selfTest) { return refusal }
    workers[identity.rank]?.isReady = true
    let lost = data(of: identity, report.dataLost, report: report.dataReport, at: now)
    if !lost.isEmpty { return lost + reported(identity, report, at: now) }
    switch phase {
    case .gathering: return gather(at: now)
    case .running: return issue(.reconfigure)
    case .paused: return report.dataLost == nil ? reconfigure("a worker joins", at: now) : []
    case .stopped(let next):
      // Before the last checkpoint is safe there is no state to give. The newcomer asks again.
      guard checkpoint == next else { return [] }
      return [.send(identity, .prepare(generation: number, step: next, source: .coordinator))]
    case .recovering, .halting, .preparing: return []
    }
  }

  /// A member has stopped at a boundary; when all have, training ends or a new generation is made.
  private mutating func boundary(_ reports: [Int: StateReport], _ next: UInt64?, at now: Duration) -> [Action] {
    let own = members.compactMap { reports[$0.identity.rank] }
    guard own.count == generation?.members.count, let next else { return [] }
    if own.allSatisfy(\.stopped), wantsStop || next >= settings.lastStep {
      phase = .stopped(next: next)
      return []
    }
    let isEnd = next == generation?.endStep
    return reconfigure(isEnd ? "the state before step \(next) is due" : "a worker joins, or lanes move", at: now)
  }

  mutating func prepared(
    _ identity: WorkerIdentity, generation: UInt32, step: UInt64, weights: Digest128, at now: Duration
  ) -> [Action] {
    guard isKnown(identity) else { return [] }
    if workers[identity.rank]?.isReady == false { return askAgain(identity) }
    guard generation == number else { return [] }
    guard case .preparing(var preparation) = phase, preparation.step == step else { return [] }
    preparation.prepared[identity.rank] = weights
    phase = .preparing(preparation)
    return transferStates(at: now) + beginIfPrepared(at: now)
  }

  /// A rank has applied a step; with its record, those of all steps below `recorded` have come.
  mutating func committed(
    _ record: CommitRecord, by identity: WorkerIdentity, recorded: UInt64, at now: Duration
  ) -> [Action] {
    guard isKnown(identity), let worker = workers[identity.rank], worker.isBelieved else { return [] }
    balance.add(record.share, of: identity.rank)
    position.received(recordsBelow: recorded)
    if case .preparing = phase { return transferStates(at: now) + beginIfPrepared(at: now) }
    guard record.step >= position.committed else { return [] }
    position.commit(record)
    clips.committed()
    // The members have passed the step before which they should have waited, since one of them did not hear this
    // coordinator. Another generation knows the next such step.
    if isRunning, let end = generation?.endStep, record.step >= end {
      return moveLanes(after: record.step) + issue(.reconfigure)
    }
    return moveLanes(after: record.step)
  }

  /// A worker was asked to end: it goes at the next boundary, if another holds the state.
  mutating func leaving(_ identity: WorkerIdentity, at now: Duration) -> [Action] {
    guard isKnown(identity), workers[identity.rank]?.isLeaving == false else { return [] }
    guard isRunning, isMember(identity) else {
      // A participant in a generation being made is released when that generation has begun.
      return isMember(identity) || phase.participants.contains(identity.rank) ? [] : release(identity)
    }
    guard members.contains(where: { $0.identity != identity && !$0.isLeaving }) else { return [] }
    workers[identity.rank]?.isLeaving = true
    return [.report(RunEvent(.workerLeft, "\(identity) leaves at the next boundary"))] + issue(.reconfigure)
  }

  mutating func release(_ identity: WorkerIdentity) -> [Action] {
    remove(identity.rank)
    admission.fence(identity)
    let why = "it was asked to end"
    return [.send(identity, .dismiss(reason: why, clean: true)), .left(identity, reason: why)]
  }

  /// The checkpoint that was thought to be the newest is not valid: `newest` is.
  mutating func checkpointLost(newest: UInt64?, at now: Duration) -> [Action] {
    position.lostCheckpoint(newest: newest)
    return reconfigure("a checkpoint was lost", at: now)
  }

  /// Asks for a stop at the next boundary that all can agree on.
  mutating func stop(at now: Duration) -> [Action] {
    guard !wantsStop else { return [] }
    wantsStop = true
    if case .paused = phase { return reconfigure("a stop was asked for", at: now) }
    return issue(.stop)
  }

  /// Asks for a stop at the step in flight, which cannot be finished.
  mutating func stopHere(_ why: String, at now: Duration) -> [Action] {
    guard !wantsStop || isRunning else { return [] }
    wantsStop = true
    return reconfigure(why, at: now)
  }

  mutating func tick(at now: Duration) -> [Action] {
    if gatheringSince == nil { gatheringSince = now }
    forgiveOwnPause(at: now)
    detector.tick(at: now)
    var actions = detectFailures(at: now)
    switch phase {
    case .recovering: actions += recover(at: now)
    case .gathering: actions += gather(at: now)
    case .halting(let halt): actions += resolve(halt, at: now)
    case .paused(let next): actions += wait(before: next, at: now)
    case .preparing, .running, .stopped: break
    }
    if now - resent > settings.repeatAfter {
      resent = now
      actions += unanswered()
    }
    return actions
  }

  /// The checkpoint of `step` can be fetched: tells those who are to take their state from it.
  func awaitingCheckpoint(of step: UInt64) -> [Action] {
    guard case .preparing(let preparation) = phase, preparation.step == step else { return [] }
    return participants.map(\.identity).filter {
      preparation.prepared[$0.rank] == nil && preparation.transfers[$0.rank]?.source == .coordinator
    }.map { .send($0, .prepare(generation: number, step: step, source: .coordinator, peers: peers)) }
  }

  // MARK: Directives, and messages that are sent again

  mutating func issue(_ kind: Directive.Kind) -> [Action] {
    guard isRunning, let directive = directives.issue(kind) else { return [] }
    return [.directive(directive)] + members.map { .send($0.identity, .pulse(directives.pending)) }
  }

  /// The messages that were sent and not answered.
  private func unanswered() -> [Action] {
    let participants = participants.map(\.identity)
    switch phase {
    case .recovering, .gathering, .stopped: return []
    case .halting(let halt):
      return participants.filter { halt.reports[$0.rank] == nil }.map { .send($0, .halt(generation: number)) }
    case .preparing(let preparation):
      return participants.filter { preparation.prepared[$0.rank] == nil }.compactMap { identity in
        preparation.transfers[identity.rank].map {
          .send(identity, .prepare(generation: number, step: preparation.step, source: $0.source, peers: peers))
        }
      }
    case .running, .paused:
      guard let generation else { return [] }
      let unaware = members.map(\.identity).filter { detector[$0.rank]?.progress.generation ?? 0 < number }
      return unaware.map { .send($0, .begin(generation)) }
    }
  }
}
