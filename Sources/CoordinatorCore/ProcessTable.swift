// The worker processes that a coordinator knows: which it started, how often, when it tries again, and which of them is
// which worker.
import Shared
import Wire

/// A worker that fails to start again and again is tried at growing intervals, as long as anybody else trains.
struct ProcessTable {
  struct Settings {
    /// The ranks of the hosts file.
    var ranks: [Int]
    /// Those whose process runs on this machine. The others' is an ssh client.
    var localRanks: Set<Int> = []
    /// Whether this coordinator starts workers, or another program does.
    var starts = true
    /// Starts in a row, after the first, without having taken part in a step, before a rank counts as exhausted.
    var restarts = 5
    /// The longest wait between two starts.
    var longestWait = Duration.seconds(60)
  }

  private struct Slot {
    var process: Int32?
    /// It was started, and no answer has come.
    var isStarting = false
    /// Starts since it last took part in a step.
    var starts = 0
    /// When it is to be started.
    var due: Duration?
  }

  let settings: Settings
  private var slots: [Int: Slot]
  /// Each worker's process on this machine: its own, or the ssh client's that runs it.
  private var processes: [WorkerIdentity: Int32] = [:]

  init(_ settings: Settings) {
    self.settings = settings
    slots = Dictionary(uniqueKeysWithValues: settings.ranks.map { ($0, Slot()) })
  }

  func isLocal(_ rank: Int) -> Bool { settings.localRanks.contains(rank) || slots[rank] == nil }

  func process(of worker: WorkerIdentity) -> Int32? { processes[worker] }

  var isEmpty: Bool { slots.values.allSatisfy { $0.process == nil && !$0.isStarting } }

  func isRunning(_ rank: Int) -> Bool { slots[rank].map { $0.process != nil || $0.isStarting } ?? false }

  /// Every rank was started as often as it may be in a row, and none runs.
  var isExhausted: Bool {
    settings.starts && isEmpty && slots.values.allSatisfy { $0.starts > settings.restarts }
  }

  /// A rank needs a worker: at once, or after a while if it has failed several times.
  mutating func want(_ rank: Int, at now: Duration) {
    guard settings.starts, let slot = slots[rank], slot.process == nil, !slot.isStarting, slot.due == nil else {
      return
    }
    let due = now + wait(before: slot.starts)
    slots[rank]?.due = due
  }

  private func wait(before start: Int) -> Duration {
    start < 2 ? .zero : min(settings.longestWait, .milliseconds(500) * (1 << min(start - 2, 20)))
  }

  /// The ranks to start now, and how often each was started since it last took part in a step.
  mutating func takeDue(at now: Duration) -> [Int] {
    let due = slots.filter { $0.value.due.map { $0 <= now } ?? false }.keys.sorted()
    for rank in due {
      slots[rank]?.due = nil
      slots[rank]?.isStarting = true
      slots[rank]?.starts += 1
    }
    return due
  }

  mutating func started(_ rank: Int, _ process: Int32) {
    slots[rank]?.isStarting = false
    slots[rank]?.process = process
  }

  mutating func notStarted(_ rank: Int) { slots[rank]?.isStarting = false }

  /// These ranks took part in a step: their failures before it no longer count.
  mutating func tookPart(_ ranks: some Sequence<Int>) {
    for rank in ranks { slots[rank]?.starts = 0 }
  }

  /// A worker joined that says it is process `pid` of its host.
  /// - Returns: whether that process here should be watched: an earlier coordinator may have started it.
  mutating func joined(_ worker: WorkerIdentity, process pid: Int32, isHere: Bool, isOld: Bool) -> Bool {
    processes[worker] = isLocal(worker.rank) ? pid : slots[worker.rank]?.process
    guard isHere, isOld, slots[worker.rank] != nil, slots[worker.rank]?.process == nil else { return false }
    return true
  }

  mutating func adopted(_ rank: Int, _ process: Int32) {
    slots[rank]?.process = process
    slots[rank]?.due = nil
  }

  /// A process ended.
  /// - Returns: the worker whose process it was; nil for an ssh client, or no worker.
  mutating func ended(_ rank: Int, _ process: Int32) -> WorkerIdentity? {
    if slots[rank]?.process == process { slots[rank]?.process = nil }
    guard isLocal(rank) else { return nil }
    let worker = processes.filter { $0.value == process && $0.key.rank == rank }.keys
      .min { $0.incarnation < $1.incarnation }
    if let worker { processes[worker] = nil }
    return worker
  }

  mutating func forget(_ worker: WorkerIdentity) { processes[worker] = nil }

  /// Nothing more is started.
  mutating func stopStarting() {
    for rank in slots.keys { slots[rank]?.due = nil }
  }
}
