// Who trains, in which generation, on which lanes: every decision of the coordinator about its workers. Pure: an event
// and a time go in, a list of actions comes out. `CoordinatorService` carries them out.
import Shared

/// The coordinator's view of its workers.
///
/// A generation is made in three moves: everybody alive is halted and says where it stands; from that follows the step
/// to continue at, and each gets the state before it; then it begins. A death starts the moves again with a higher
/// number, so there is one path for the first start, a resume, a death and a newcomer.
struct Membership {
  /// What the membership is at.
  enum Phase: Equatable {
    /// Waiting for the workers of the hosts file.
    case gathering
    /// Waiting for everybody's standing.
    case halting
    /// Waiting until everybody holds the state before `step`.
    case preparing(step: UInt64)
    case running
    /// Every member stands at `next` and trains no further.
    case stopped(next: UInt64)
  }

  struct Settings {
    var ranks: [Int]
    var lanes: Int
    /// Training ends when all steps below are applied.
    var lastStep: UInt64
    var joinWindow: Duration
    var evictAfter: Duration
    /// Before a message that was not answered is sent again.
    var repeatAfter: Duration = .seconds(1)
  }

  struct Worker {
    var identity: WorkerIdentity
    var hello: Hello
    var heard: Duration
    var progress = Progress()
    /// Holds the indexes and waits to be made a member.
    var ready = false
    /// Its answer to the present halt, or what it said by itself at a boundary.
    var standing: Standing?
    /// The digest of the weights that it prepared for the generation being made.
    var prepared: Digest128?
    /// Where it was told to take the state from.
    var source: StateSource?
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
    case note(String)
  }

  let settings: Settings
  private(set) var phase = Phase.gathering
  private(set) var workers: [Int: Worker] = [:]
  /// The generation that runs, or ran last.
  private(set) var generation: Generation?
  private(set) var directives: [Directive] = []
  /// The number of the generation that runs or is being made.
  private(set) var number: UInt32
  private var sequence: UInt64 = 0
  private var reason = "start"
  private var wantsStop = false
  /// The ranks of the generation being made.
  private var participants: [Int] = []
  private var started: Duration?
  private var repeated: Duration = .zero
  /// Every step below is known to be committed.
  private var committed: UInt64
  /// The last of them changed nothing.
  private var lastSkipped = false
  /// The step of the newest checkpoint; nil where there is none.
  private var checkpoint: UInt64?

  /// - Parameters:
  ///   - lastGeneration: the highest number in the journal, 0 for none.
  ///   - checkpoint: the step of the checkpoint to resume from.
  init(_ settings: Settings, lastGeneration: UInt32 = 0, checkpoint: UInt64? = nil) {
    self.settings = settings
    number = lastGeneration
    self.checkpoint = checkpoint
    committed = checkpoint ?? 0
  }

  var members: [Worker] { workers.keys.sorted().compactMap { workers[$0] }.filter { isMember($0.identity) } }

  /// Those who hold the final state and can evaluate with it.
  var evaluators: [WorkerIdentity] {
    guard case .stopped = phase else { return [] }
    return workers.keys.sorted().compactMap { workers[$0] }.filter { isMember($0.identity) || $0.prepared != nil }
      .map(\.identity)
  }

  private var taking: [Worker] { participants.compactMap { workers[$0] } }

  func isMember(_ identity: WorkerIdentity) -> Bool {
    generation?.members.contains { $0.identity == identity } ?? false
  }

  func isKnown(_ identity: WorkerIdentity) -> Bool { workers[identity.rank]?.identity == identity }

  // MARK: Events

  mutating func hello(_ identity: WorkerIdentity, _ hello: Hello, at now: Duration) -> [Action] {
    if let known = workers[identity.rank] {
      if known.identity == identity { return [.welcome(identity)] }
      // Perhaps the other one is dead and nobody has noticed yet: the newcomer asks again.
      if now - known.heard > settings.repeatAfter { return [] }
      let why = "rank \(identity.rank) is taken by process \(known.hello.pid) on \(known.hello.host), which is alive"
      return [.send(identity, .dismiss(reason: why, clean: false)), .note("\(identity) refused: \(why)")]
    }
    if let other = workers.values.first(where: { $0.hello.fingerprint != hello.fingerprint }) {
      let why = difference(of: hello, from: other.hello)
      return [.send(identity, .dismiss(reason: why, clean: false)), .note("\(identity) refused: \(why)")]
    }
    workers[identity.rank] = Worker(identity: identity, hello: hello, heard: now)
    return [.welcome(identity), .joined(identity, hello)]
  }

  mutating func heartbeat(_ identity: WorkerIdentity, _ progress: Progress, at now: Duration) -> [Action] {
    guard isKnown(identity) else { return [] }
    workers[identity.rank]?.heard = now
    workers[identity.rank]?.progress = progress
    return [.send(identity, .pulse(phase == .running && isMember(identity) ? directives : []))]
  }

  mutating func standing(_ identity: WorkerIdentity, _ standing: Standing, at now: Duration) -> [Action] {
    guard isKnown(identity) else { return [] }
    if standing.generation == 0 {
      workers[identity.rank]?.ready = true
      switch phase {
      case .gathering: return gather(at: now)
      case .running: return order(.reform)
      case .stopped(let next):
        // Before the last checkpoint is safe there is nothing to give; the newcomer asks again.
        guard checkpoint == next else { return [] }
        return [.send(identity, .prepare(generation: number, step: next, source: .coordinator))]
      case .halting, .preparing: return []
      }
    }
    guard standing.generation == number else { return [] }
    workers[identity.rank]?.standing = standing
    switch phase {
    case .halting: return resolve(at: now)
    case .running:
      let standings = members.map(\.standing)
      guard standings.allSatisfy({ $0 != nil }), let next = standing.next else { return [] }
      if standings.allSatisfy({ $0?.stopped == true }) {
        phase = .stopped(next: next)
        return []
      }
      return reform("a worker joins", at: now)
    case .gathering, .preparing, .stopped: return []
    }
  }

  mutating func prepared(
    _ identity: WorkerIdentity, generation: UInt32, step: UInt64, weights: Digest128, at now: Duration
  ) -> [Action] {
    guard generation == number, isKnown(identity) else { return [] }
    switch phase {
    case .preparing(step):
      workers[identity.rank]?.prepared = weights
      return teach(step) + beginIfPrepared(step, at: now)
    case .stopped(next: step):
      workers[identity.rank]?.prepared = weights
      return []
    default: return []
    }
  }

  /// Some rank has applied `step`.
  mutating func committed(_ step: UInt64, skipped: Bool) {
    guard step >= committed else { return }
    committed = step + 1
    lastSkipped = skipped
  }

  /// The state before `step` is safe.
  mutating func checkpointed(_ step: UInt64) { checkpoint = max(checkpoint ?? 0, step) }

  /// A process ended, or is to be given up.
  mutating func lost(_ identity: WorkerIdentity, reason why: String, at now: Duration) -> [Action] {
    guard isKnown(identity) else { return [] }
    let mattered =
      switch phase {
      case .gathering: false
      case .running: isMember(identity)
      case .halting, .preparing: participants.contains(identity.rank)
      case .stopped(let next): checkpoint != next
      }
    workers[identity.rank] = nil
    let left: [Action] = [.kill(identity, reason: why), .left(identity, reason: why), .launch(rank: identity.rank)]
    return mattered ? left + reform("\(identity) was lost: \(why)", at: now) : left
  }

  /// Asks for a stop at the next boundary that all can agree on.
  mutating func stop() -> [Action] {
    guard !wantsStop else { return [] }
    wantsStop = true
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
    var actions: [Action] = []
    for rank in workers.keys.sorted() {
      guard let worker = workers[rank], now - worker.heard > settings.evictAfter else { continue }
      let seconds = settings.evictAfter.components.seconds
      actions += lost(worker.identity, reason: "no heartbeat for \(seconds) s", at: now)
    }
    if phase == .gathering { actions += gather(at: now) }
    if phase == .halting { actions += resolve(at: now) }
    if now - repeated > settings.repeatAfter {
      repeated = now
      actions += unanswered()
    }
    return actions
  }

  // MARK: Making a generation

  private mutating func gather(at now: Duration) -> [Action] {
    let ready = workers.values.count(where: \.ready)
    let late = started.map { now - $0 > settings.joinWindow } ?? false
    guard ready >= settings.ranks.count || (late && ready > 0) else { return [] }
    return reform(generation == nil ? "start" : "workers are back", at: now)
  }

  /// Halts everybody who is ready and makes a new generation of them.
  mutating func reform(_ why: String, at now: Duration) -> [Action] {
    participants = workers.values.filter(\.ready).map(\.identity.rank).sorted()
    reason = why
    directives = []
    guard !participants.isEmpty else {
      phase = .gathering
      started = now
      return [.note("\(why); nobody is left, waiting for workers")]
    }
    phase = .halting
    number += 1
    repeated = now
    for rank in participants {
      workers[rank]?.standing = nil
      workers[rank]?.prepared = nil
      workers[rank]?.source = nil
    }
    return taking.map { .send($0.identity, .halt(generation: number)) }
  }

  /// From where everybody stands follows the step to continue at, and from where each gets the state before it.
  private mutating func resolve(at now: Duration) -> [Action] {
    guard !taking.isEmpty, taking.allSatisfy({ $0.standing != nil }) else { return [] }
    var actions: [Action] = []
    var step = taking.compactMap { $0.standing?.next }.max()
    // In doubt: a rank that is gone may have applied what the others froze; its record settles it.
    if let next = step, committed == next + 1,
      taking.contains(where: { $0.standing?.next == next && $0.standing?.frozen == true })
    {
      step = next + 1
    }
    if let next = step, next < committed { step = nil }
    let target = step ?? checkpoint ?? 0
    if step == nil, committed > target { actions.append(.rollBack(to: target)) }
    committed = step == nil ? target : max(target, committed)
    phase = .preparing(step: target)
    for worker in taking {
      var source: StateSource?
      if step == nil {
        source = checkpoint == nil ? .initial : .coordinator
      } else if let standing = worker.standing, let next = standing.next,
        next == target || (next + 1 == target && standing.frozen)
      {
        source = .own(skipping: lastSkipped)
      }
      guard let source else { continue }
      workers[worker.identity.rank]?.source = source
      actions.append(.send(worker.identity, .prepare(generation: number, step: target, source: source)))
    }
    return actions
  }

  /// Sends those who lack the state to a peer that has it.
  private mutating func teach(_ step: UInt64) -> [Action] {
    guard let donor = taking.first(where: { $0.prepared != nil }) else { return [] }
    let learners = taking.filter { $0.source == nil }
    return learners.map { learner in
      let source = StateSource.peer(endpoint: donor.hello.endpoint)
      workers[learner.identity.rank]?.source = source
      return .send(learner.identity, .prepare(generation: number, step: step, source: source))
    }
  }

  private mutating func beginIfPrepared(_ step: UInt64, at now: Duration) -> [Action] {
    let all = taking
    guard let first = all.first, all.allSatisfy({ $0.prepared != nil }) else { return [] }
    let counts = Dictionary(all.map { ($0.prepared, 1) }, uniquingKeysWith: +)
    let common = counts.max { $0.value < $1.value }?.key ?? first.prepared
    if let odd = all.first(where: { $0.prepared != common }) {
      return lost(odd.identity, reason: "its weights before step \(step) differ from those of most", at: now)
    }
    let shares = laneShares(lanes: settings.lanes, weights: all.map { min(max(1, $0.hello.threads), 1024) })
    let members = zip(all, shares).map { worker, lanes in
      Member(identity: worker.identity, endpoint: worker.hello.endpoint, lanes: lanes)
    }
    let made = Generation(number: number, startStep: step, members: members, directivesDone: sequence, stops: wantsStop)
    generation = made
    phase = .running
    for worker in all { workers[worker.identity.rank]?.standing = nil }
    var actions: [Action] = [.begin(made, reason: reason)]
    actions += all.map { .send($0.identity, .begin(made)) }
    if workers.values.contains(where: { $0.ready && !isMember($0.identity) }) { actions += order(.reform) }
    return actions
  }

  private func difference(of hello: Hello, from other: Hello) -> String {
    let keys = Set(hello.fingerprint.keys).union(other.fingerprint.keys).sorted()
    let differing = keys.filter { hello.fingerprint[$0] != other.fingerprint[$0] }.map { key in
      "\(key) is '\(hello.fingerprint[key] ?? "")' on \(hello.host) and '\(other.fingerprint[key] ?? "")' on \(other.host)"
    }
    return "its results would differ in bits: \(differing.joined(separator: ", "))"
  }

  // MARK: Directives and repetition

  private mutating func order(_ kind: Directive.Kind) -> [Action] {
    guard !directives.contains(where: { $0.kind == kind }) else { return [] }
    sequence += 1
    directives.append(Directive(sequence: sequence, kind: kind))
    return members.map { .send($0.identity, .pulse(directives)) }
  }

  /// What was said and not answered, said again.
  private func unanswered() -> [Action] {
    switch phase {
    case .gathering, .stopped: []
    case .halting:
      taking.filter { $0.standing == nil }.map { .send($0.identity, .halt(generation: number)) }
    case .preparing(let step):
      taking.filter { $0.prepared == nil }.compactMap { worker in
        worker.source.map { .send(worker.identity, .prepare(generation: number, step: step, source: $0)) }
      }
    case .running:
      members.filter { $0.progress.generation < number }.compactMap { worker in
        generation.map { .send(worker.identity, .begin($0)) }
      }
    }
  }
}
