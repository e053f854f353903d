// Who trains, in which generation, on which lanes: every decision of the coordinator about its workers. Pure: an event
// and a time go in, a list of actions comes out. `CoordinatorMachine` passes them on. Here are the state and the
// events; how a generation is made, who is given up, and what a restart finds are in the files beside it.
import Shared

/// The coordinator's view of its workers.
///
/// A generation is made in three moves: everybody alive is halted and says where it stands; from that follows the step
/// to continue at, and each gets the state before it; then it begins. A death starts the moves again with a higher
/// number, so there is one path for the first start, a resume, a death and a newcomer.
package struct Membership {
  /// What the membership is at.
  package enum Phase: Equatable {
    /// The coordinator was started again: waiting for the workers that may have gone on without it.
    case recovering(until: Duration)
    /// Waiting for the workers of the hosts file.
    case gathering
    /// Waiting for everybody's standing.
    case halting
    /// Waiting until everybody holds the state before `step`.
    case preparing(step: UInt64)
    case running
    /// All stand before step `next`: no member can read its data, or the state is evaluated.
    case paused(next: UInt64)
    /// Every member stands at `next` and trains no further.
    case stopped(next: UInt64)
  }

  struct Settings {
    var ranks: [Int]
    var lanes: Int
    /// Training ends when all steps below are applied.
    var lastStep: UInt64
    var joinWindow: Duration
    /// Silence after which a worker is suspected, and evicted.
    var suspectAfter: Duration = .seconds(1)
    var evictAfter: Duration
    /// Silence that is enough where a neighbour saw the connection end.
    var closedAfter: Duration = .milliseconds(750)
    /// How long an evicted one may come back before it is replaced.
    var returnAfter: Duration = .seconds(60)
    /// Without progress for this long, one that beats is hung.
    var hangAfter: Duration = .seconds(60)
    /// Before a message that was not answered is sent again.
    var repeatAfter: Duration = .seconds(1)
    /// Only workers of this run are taken back.
    var run = ""
    /// How long training waits while nobody can read its data.
    var dataWait = Duration.seconds(600)
    var epoch = EpochShape()
  }

  /// What the journal knows of the run so far.
  package struct Past {
    /// The last generation, and the highest number of any.
    package var generation: Generation?
    package var number: UInt32 = 0
    /// Workers that had not left when the journal was last written.
    package var present: Set<WorkerIdentity> = []
    /// Those that were given since the last generation began.
    package var directives: [Directive] = []
    /// Committed steps, and the digest of the state that they led to.
    package var next: UInt64 = 0
    package var state: Digest128?
    /// Steps that the journal ever held, those that were rolled back included.
    package var held: UInt64 = 0
    /// How the last of them was applied.
    package var last: Standing.Last?
    /// The step of the newest valid checkpoint; nil where there is none.
    package var checkpoint: UInt64?
    package var verdicts: [ClipVerdict] = []
    /// See `Membership.rolledBack`; all workers where a rollback is the last that was written down.
    package var rolledBack: UInt32 = 0
    /// How long the run has been waiting for data, if it is.
    package var pausedFor: Duration?
    /// Steps before which the state was evaluated, as it still is.
    package var evaluated: Set<UInt64> = []

    package init(checkpoint: UInt64? = nil) { self.checkpoint = checkpoint }

    /// Sets `rolledBack`, once the generation and `next` are known.
    /// - Parameter newest: the highest generation of which a step was rolled back.
    package mutating func setRolledBack(newest: UInt32) {
      guard let generation else { return }
      let isLast = next < generation.startStep || newest == generation.number
      rolledBack = isLast ? .max : generation.rolledBack
    }
  }

  package struct Worker {
    package var identity: WorkerIdentity
    package var hello: Hello
    var heard: Duration
    var progress = Progress()
    /// When `progress` last changed.
    var moved: Duration
    var isSuspected = false
    /// Holds the indexes and waits to be made a member.
    var ready = false
    /// Its state may be one that was rolled back while it was away: it must get another.
    package var mustLearn = false
    /// Its answer to the present halt, or what it said by itself at a boundary.
    var standing: Standing?
    /// The digest of the weights that it prepared for the generation being made.
    var prepared: Digest128?
    /// Where it was told to take the state from, and when.
    var source: StateSource?
    var sourced: Duration = .zero
    /// Bits that it would compute; nil where it was not asked again.
    package var selfTest: SelfTest?
    /// A neighbour saw the connection to it end, at this time, and it has not been heard since.
    var closed: Duration?
    /// Was asked to end, and goes at the next boundary.
    var isLeaving = false
    /// Why it can read none of its data, while that is so: it gets no lanes.
    package var dataLost: String?
    /// It has said whether it can read its data.
    var hasSaidData = false
    /// Seconds that it needs for a lane, averaged over steps; nil until it has computed some.
    var pace: Pace?

    /// What it says of steps counts.
    package var isBelieved: Bool { ready && !mustLearn }
  }

  enum Action: Equatable {
    case send(WorkerIdentity, CoordinatorMessage)
    /// Greets a newcomer; the shell knows the recipe and the indexes.
    case welcome(WorkerIdentity)
    /// Makes an end of a process that is no longer wanted, if it is ours.
    case kill(WorkerIdentity, reason: String)
    case launch(rank: Int)
    case joined(WorkerIdentity, Hello)
    case left(WorkerIdentity, reason: String)
    /// All steps from here on are computed again: the journal keeps them as history.
    case rollBack(to: UInt64)
    case begin(Generation, reason: String)
    /// To be written down before it is announced.
    case directive(Directive)
    /// The step goes without the clip; to be written down before it is announced.
    case verdict(ClipVerdict, reason: String)
    case report(RunEvent)
    /// Training waits for data from now on; to be written down.
    case paused(step: UInt64, reason: String)
    case resumed
    /// The run ends with an error: at once, or at the next boundary with a checkpoint.
    case end(ExitStatus, String, atOnce: Bool)
  }

  let settings: Settings
  package internal(set) var phase: Phase
  package internal(set) var workers: [Int: Worker] = [:]
  /// The generation that runs, or ran last.
  package internal(set) var generation: Generation? {
    didSet { identities = Set(generation?.members.map(\.identity) ?? []) }
  }
  /// Its members.
  private var identities: Set<WorkerIdentity>
  var directives: [Directive]
  /// The number of the generation that runs or is being made.
  package internal(set) var number: UInt32
  /// The lowest that this coordinator gives: an earlier one may have halted workers for generations that it did not
  /// come to write down.
  let firstNumber: UInt32
  var sequence: UInt64
  /// Why the generation is being made.
  var reason = "start"
  private(set) var wantsStop = false
  /// The ranks of the generation being made.
  package internal(set) var participants: [Int] = []
  var started: Duration?
  var repeated: Duration = .zero
  var ticked: Duration?
  /// Every step below is known to be committed.
  var committed: UInt64
  /// Of the state before `committed`, where it is known.
  var state: Digest128?
  /// How the last of them was applied.
  var last: Standing.Last?
  /// The commit records of all steps below have come. Those that are missing are with the workers that applied the
  /// steps, until the journal has them.
  var recorded: UInt64
  /// The last checkpoint has been fetched: if it is not written, that is not the workers' fault.
  var isHandedOver = false
  var checkpoint: UInt64?
  /// The step of a checkpoint that is being written: nothing is rolled back to before it.
  var pendingCheckpoint: UInt64?
  var verdicts: [ClipVerdict]
  /// Workers of this and older generations may hold states that were rolled back since.
  var rolledBack: UInt32
  /// The generation being made starts from the checkpoint, whatever states there are.
  package internal(set) var restores = false
  /// The generation being made uses no sums that were kept.
  var computesAnew = false
  /// Workers of the last generation that may still live, and have not been heard since the restart.
  var expected: Set<WorkerIdentity>
  /// Those that were evicted for their silence, and since when.
  var absent: [Int: (identity: WorkerIdentity, since: Duration)] = [:]
  /// Those that may not come back at all, or not before a time.
  var condemned: Set<WorkerIdentity> = []
  var barred: [WorkerIdentity: (until: Duration, times: Int)] = [:]
  /// Newcomers whose rank another holds, and since when they ask.
  var contenders: [WorkerIdentity: Duration] = [:]
  /// Links that were found broken, and when.
  var brokenLinks: [Link: Duration] = [:]
  /// The step at which lanes last moved because of somebody's pace.
  var balancedAt: UInt64?
  /// Who could not decode a clip of the step in flight.
  var clipFailures: [ClipVerdict: Set<Int>] = [:]
  /// Ranks that a lane of step `committed` should not go to.
  var avoided: [Int: Set<Int>] = [:]
  /// The step that corruption last sent everybody back from.
  var corruptedAt: UInt64?
  var pause: Pause?
  /// The states that are evaluated between two steps.
  var evaluations = EvaluationPlan()

  init(_ settings: Settings, past: Past = Past()) {
    self.settings = settings
    phase = past.present.isEmpty ? .gathering : .recovering(until: settings.evictAfter + settings.repeatAfter)
    generation = past.generation
    identities = Set(past.generation?.members.map(\.identity) ?? [])
    number = max(past.number, past.generation?.number ?? 0)
    firstNumber = number == 0 ? 1 : number + 1000
    expected = past.present
    directives = past.directives
    sequence = max(past.directives.last?.sequence ?? 0, past.generation?.directivesDone ?? 0)
    committed = past.next
    recorded = past.next
    state = past.state
    last = past.last
    checkpoint = past.checkpoint
    verdicts = past.verdicts
    rolledBack = past.rolledBack
    pause = past.pausedFor.map { Pause(since: .zero - $0, isRecorded: true) }
  }

  /// All workers, by rank.
  package var all: [Worker] { workers.keys.sorted().compactMap { workers[$0] } }

  package var members: [Worker] { all.filter { isMember($0.identity) } }

  /// The workers of the generation being made, by rank.
  package var taking: [Worker] { participants.compactMap { workers[$0] } }

  package func isMember(_ identity: WorkerIdentity) -> Bool { identities.contains(identity) }

  package func isKnown(_ identity: WorkerIdentity) -> Bool { workers[identity.rank]?.identity == identity }

  // MARK: Events

  mutating func heartbeat(_ identity: WorkerIdentity, _ progress: Progress, at now: Duration) -> [Action] {
    guard isKnown(identity), var worker = workers[identity.rank] else { return [] }
    worker.heard = now
    worker.closed = nil
    if worker.progress != progress { (worker.progress, worker.moved) = (progress, now) }
    let wasSuspected = worker.isSuspected
    worker.isSuspected = false
    workers[identity.rank] = worker
    var actions = [Action.send(identity, .pulse(phase == .running && isMember(identity) ? directives : []))]
    if !worker.ready, progress.generation > 0 { actions += askAgain(identity) }
    actions += data(of: identity, progress.dataLost, at: now)
    if wasSuspected { actions.append(.report(RunEvent(.workerRecovered, "\(identity) is heard again"))) }
    return actions
  }

  /// It has been in a run, and the hello that came does not say so: that was an old one.
  private func askAgain(_ identity: WorkerIdentity) -> [Action] { [.send(identity, .identify(run: settings.run))] }

  mutating func standing(_ identity: WorkerIdentity, _ standing: Standing, at now: Duration) -> [Action] {
    guard isKnown(identity) else { return [] }
    if standing.generation == 0 {
      if let selfTest = standing.selfTest, let refusal = refusal(of: identity, selfTest) { return refusal }
      workers[identity.rank]?.ready = true
      let lost = data(of: identity, standing.dataLost, at: now)
      if !lost.isEmpty { return lost + self.standing(identity, standing, at: now) }
      switch phase {
      case .gathering: return gather(at: now)
      case .running: return order(.reform)
      case .paused: return standing.dataLost == nil ? reform("a worker joins", at: now) : []
      case .stopped(let next):
        // Before the last checkpoint is safe there is nothing to give; the newcomer asks again.
        guard checkpoint == next else { return [] }
        return [.send(identity, .prepare(generation: number, step: next, source: .coordinator))]
      case .recovering, .halting, .preparing: return []
      }
    }
    if workers[identity.rank]?.ready == false { return askAgain(identity) }
    guard standing.generation == number else { return [] }
    workers[identity.rank]?.standing = standing
    workers[identity.rank]?.dataLost = standing.dataLost
    workers[identity.rank]?.hasSaidData = true
    switch phase {
    case .halting: return resolve(at: now)
    case .running:
      let standings = members.map(\.standing)
      guard standings.count == generation?.members.count, standings.allSatisfy({ $0 != nil }),
        let next = standing.next
      else { return [] }
      if standings.allSatisfy({ $0?.stopped == true }), wantsStop || next >= settings.lastStep {
        phase = .stopped(next: next)
        return []
      }
      let isEnd = next == generation?.endStep
      return reform(isEnd ? "the state before step \(next) is due" : "a worker joins, or lanes move", at: now)
    case .recovering, .gathering, .preparing, .paused, .stopped: return []
    }
  }

  mutating func prepared(
    _ identity: WorkerIdentity, generation: UInt32, step: UInt64, weights: Digest128, at now: Duration
  ) -> [Action] {
    guard isKnown(identity) else { return [] }
    if workers[identity.rank]?.ready == false { return askAgain(identity) }
    guard generation == number else { return [] }
    switch phase {
    case .preparing(step):
      workers[identity.rank]?.prepared = weights
      return teach(step, at: now) + beginIfPrepared(step, at: now)
    case .stopped(next: step):
      workers[identity.rank]?.prepared = weights
      return []
    default: return []
    }
  }

  /// A rank has applied a step; with its record, those of all steps below `recorded` have come.
  mutating func committed(
    _ record: CommitRecord, by identity: WorkerIdentity, recorded: UInt64, at now: Duration
  ) -> [Action] {
    guard isKnown(identity), let worker = workers[identity.rank], worker.isBelieved else { return [] }
    workers[identity.rank]?.pace = (worker.pace ?? Pace()).after(record.share)
    self.recorded = recorded
    if case .preparing(let step) = phase { return teach(step, at: now) + beginIfPrepared(step, at: now) }
    guard record.step >= committed else { return [] }
    committed = record.step + 1
    state = record.after
    last = Standing.Last(record)
    clipFailures = [:]
    avoided = [:]
    return balance(after: record.step)
  }

  /// A worker was asked to end: it goes at the next boundary, if another holds the state.
  mutating func leaving(_ identity: WorkerIdentity, at now: Duration) -> [Action] {
    guard isKnown(identity), workers[identity.rank]?.isLeaving == false else { return [] }
    guard phase == .running, isMember(identity) else {
      // Whoever is asked for something now is let go when that is over.
      let isAsked =
        switch phase {
        case .halting, .preparing: participants.contains(identity.rank)
        case .recovering, .gathering, .running, .paused, .stopped: false
        }
      return isMember(identity) || isAsked ? [] : letGo(identity)
    }
    guard members.contains(where: { $0.identity != identity && !$0.isLeaving }) else { return [] }
    workers[identity.rank]?.isLeaving = true
    return [.report(RunEvent(.workerLeft, "\(identity) leaves at the next boundary"))] + order(.reform)
  }

  mutating func letGo(_ identity: WorkerIdentity) -> [Action] {
    workers[identity.rank] = nil
    condemned.insert(identity)
    let why = "it was asked to end"
    return [.send(identity, .dismiss(reason: why, clean: true)), .left(identity, reason: why)]
  }

  /// The state before `step` is safe.
  mutating func checkpointed(_ step: UInt64) { checkpoint = max(checkpoint ?? 0, step) }

  /// The checkpoint that was thought to be the newest is not valid: `newest` is.
  mutating func checkpointLost(newest: UInt64?, at now: Duration) -> [Action] {
    checkpoint = newest
    return reform("a checkpoint was lost", at: now)
  }

  /// Asks for a stop at the next boundary that all can agree on.
  mutating func stop(at now: Duration) -> [Action] {
    guard !wantsStop else { return [] }
    wantsStop = true
    if case .paused = phase { return reform("a stop was asked for", at: now) }
    return phase == .running ? order(.stop) : []
  }

  /// Asks for a stop at the step in flight, which cannot be finished.
  mutating func stopHere(_ why: String, at now: Duration) -> [Action] {
    guard !wantsStop || phase == .running else { return [] }
    wantsStop = true
    return reform(why, at: now)
  }

  mutating func tick(at now: Duration) -> [Action] {
    if started == nil { started = now }
    excuse(at: now)
    var actions = judge(at: now)
    switch phase {
    case .recovering: actions += recover(at: now)
    case .gathering: actions += gather(at: now)
    case .halting: actions += resolve(at: now)
    case .paused(let next): actions += wait(before: next, at: now)
    case .preparing, .running, .stopped: break
    }
    if now - repeated > settings.repeatAfter {
      repeated = now
      actions += unanswered()
    }
    return actions
  }

  /// Tells those who are to take the state before `step` from the coordinator that it is there.
  func awaitingCheckpoint(of step: UInt64) -> [Action] {
    guard phase == .preparing(step: step) else { return [] }
    return taking.filter { $0.prepared == nil && $0.source == .coordinator }.map {
      .send($0.identity, .prepare(generation: number, step: step, source: .coordinator))
    }
  }

  // MARK: Directives and repetition

  mutating func order(_ kind: Directive.Kind) -> [Action] {
    guard phase == .running, !directives.contains(where: { $0.kind == kind }) else { return [] }
    sequence += 1
    let directive = Directive(sequence: sequence, kind: kind)
    directives.append(directive)
    return [.directive(directive)] + members.map { .send($0.identity, .pulse(directives)) }
  }

  /// What was said and not answered, said again.
  private func unanswered() -> [Action] {
    switch phase {
    case .recovering, .gathering, .stopped: []
    case .halting:
      taking.filter { $0.standing == nil }.map { .send($0.identity, .halt(generation: number)) }
    case .preparing(let step):
      taking.filter { $0.prepared == nil }.compactMap { worker in
        worker.source.map { .send(worker.identity, .prepare(generation: number, step: step, source: $0)) }
      }
    case .running, .paused:
      members.filter { $0.progress.generation < number }.compactMap { worker in
        generation.map { .send(worker.identity, .begin($0)) }
      }
    }
  }
}
