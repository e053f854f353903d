// The worker processes that this coordinator started.
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

  let slots: [Slot]
  private let mode: Mode
  private let children = ChildProcesses()
  private let launcher: HostLauncher
  private let coordinator: Endpoint
  private let insecure: Bool
  private let restarts: Int
  private var running: [pid_t: LaunchedWorker] = [:]
  private var starts: [Int: Int] = [:]

  init(
    slots: [Slot], mode: Mode, settings: LaunchSettings, coordinator: Endpoint, insecure: Bool, restarts: Int
  ) {
    self.slots = slots
    self.mode = mode
    launcher = HostLauncher(children: children, settings: settings)
    self.coordinator = coordinator
    self.insecure = insecure
    self.restarts = restarts
  }

  /// Starts the worker of a rank, unless it was started too often without a step in between.
  /// - Returns: false if it was not started.
  func start(_ rank: Int) throws -> Bool {
    guard mode == .auto, let slot = slots.first(where: { $0.rank == rank }) else { return false }
    guard !running.values.contains(where: { $0.rank == rank }) else { return true }
    let count = starts[rank, default: 0]
    guard count <= restarts else { return false }
    starts[rank] = count + 1
    var arguments = ["--rank", "\(rank)", "--coordinator", coordinator.description]
    if let threads = slot.threads { arguments += ["--threads", "\(threads)"] }
    if let address = slot.address { arguments += ["--listen", address] }
    if let data = slot.data { arguments += ["--data", data] }
    if insecure { arguments.append("--insecure-listen") }
    let worker = try launcher.start(rank: rank, incarnation: UInt64(count), slot: slot, arguments: arguments)
    running[worker.processID] = worker
    return true
  }

  /// A step was committed: whoever runs, runs well.
  func stepped() { starts = [:] }

  /// Nobody runs, and nobody more will be started.
  var isExhausted: Bool {
    mode == .auto && running.isEmpty && slots.allSatisfy { starts[$0.rank, default: 0] > restarts }
  }

  var isEmpty: Bool { running.isEmpty }

  /// The workers whose process here has ended.
  func reap() -> [(worker: LaunchedWorker, isRemote: Bool, reason: ExitReason)] {
    children.reap().compactMap { pid, reason in
      guard let worker = running.removeValue(forKey: pid) else { return nil }
      let slot = slots.first { $0.rank == worker.rank }
      return (worker, !isLocal(slot?.host ?? "localhost"), reason)
    }
  }

  func log(of rank: Int) -> String? { running.values.first { $0.rank == rank }?.log }

  /// Ends the process of a rank at once.
  func kill(_ rank: Int) {
    for (pid, worker) in running where worker.rank == rank { children.kill(pid) }
  }

  func killAll() { for pid in running.keys { children.kill(pid) } }
}
