// The worker processes that this coordinator started, or took over from an earlier one.
import Foundation
import Messaging
import Shared

/// Starts a worker for each slot of the hosts file, starts them again, and ends them, each by its process id.
final class WorkerFleet {
  enum Mode: String, CaseIterable {
    /// Processes here, ssh for other hosts.
    case auto
    /// Somebody else starts them.
    case none
  }

  /// A process that has ended.
  struct Ended {
    let rank: Int
    let pid: pid_t
    /// It was an ssh client: its end says little about the worker's.
    let isRemote: Bool
    /// How it ended, and the last line of its log where that says why.
    let reason: String
    let log: String
  }

  let slots: [Slot]
  private let mode: Mode
  private let children = ChildProcesses()
  private let adopted = AdoptedProcesses()
  private let launcher: HostLauncher
  private let coordinator: Endpoint
  private let settings: LaunchSettings
  private var running: [pid_t: LaunchedWorker] = [:]
  private var adoptedRanks: [pid_t: Int] = [:]

  init(
    slots: [Slot], mode: Mode, settings: LaunchSettings, coordinator: Endpoint
  ) {
    self.slots = slots
    self.mode = mode
    self.settings = settings
    launcher = HostLauncher(children: children, settings: settings)
    self.coordinator = coordinator
  }

  /// Whether workers are started here; else somebody else does.
  var startsWorkers: Bool { mode == .auto }

  /// Starts the worker of a rank.
  /// - Parameter keys: what it proves itself with; nil in a run without keys.
  /// - Returns: its process, or the ssh client's that runs it.
  /// - Throws: `LaunchError` where it cannot be started.
  func start(_ rank: Int, keys: WorkerKeys?) throws -> pid_t {
    guard let slot = slots.first(where: { $0.rank == rank }) else {
      throw LaunchError(.badConfiguration, "the hosts file has no rank \(rank)")
    }
    var arguments = ["--rank", "\(rank)", "--coordinator", coordinator.description]
    if let threads = slot.threads { arguments += ["--threads", "\(threads)"] }
    if let threads = slot.laneThreads { arguments += ["--lane-threads", "\(threads)"] }
    if let address = slot.address { arguments += ["--listen", address] }
    if let data = slot.data { arguments += ["--data", data] }
    if let cache = slot.cache { arguments += ["--cache", cache] }
    arguments += keys == nil ? ["--insecure"] : ["--keys", "-"]
    let worker = try launcher.start(rank: rank, slot: slot, arguments: arguments, input: keys?.line ?? [])
    running[worker.processID] = worker
    return worker.processID
  }

  /// Watches a worker on this machine that somebody else started.
  /// - Returns: false if there is no such process, or it is no worker of that rank.
  func adopt(_ rank: Int, _ pid: pid_t) -> Bool {
    guard running[pid] == nil else { return true }
    guard adopted.adopt(pid, rank: rank) else { return false }
    adoptedRanks[pid] = rank
    return true
  }

  /// What becomes readable when a process ends that is no child.
  var pollItems: [PollItem] { adopted.waitable.map { PollItem(descriptor: $0) } }

  var isEmpty: Bool { running.isEmpty && adopted.isEmpty }

  /// The workers whose process here has ended.
  func reap() -> [Ended] {
    let own = children.reap().compactMap { pid, reason -> Ended? in
      guard let worker = running.removeValue(forKey: pid) else { return nil }
      let slot = slots.first { $0.rank == worker.rank }
      let line = reason == .code(0) ? nil : WorkerLog.lastReason(in: worker.log, from: worker.logStart)
      let text = "\(reason)" + ((line ?? reason.hint).map { ": \($0)" } ?? "")
      return Ended(
        rank: worker.rank, pid: pid, isRemote: slot.map { !$0.isHere } ?? false, reason: text, log: worker.log)
    }
    let others = adopted.reap().compactMap { pid -> Ended? in
      guard let rank = adoptedRanks.removeValue(forKey: pid) else { return nil }
      let log = settings.log(rank: rank)
      let text = "its process ended" + (WorkerLog.lastReason(in: log, from: 0).map { ": \($0)" } ?? "")
      return Ended(rank: rank, pid: pid, isRemote: false, reason: text, log: log)
    }
    return own + others
  }

  /// Ends a process at once, if it is a child or a worker that was taken over.
  func kill(_ pid: pid_t) {
    if running[pid] != nil { children.kill(pid) } else { adopted.kill(pid) }
  }

  func killAll() {
    for pid in running.keys { children.kill(pid) }
    for pid in adopted.all { adopted.kill(pid) }
  }
}
