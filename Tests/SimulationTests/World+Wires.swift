// The wires of the world: delay, loss, repetition, disorder, damage, cuts.
import CoordinatorCore
import Ring
import Shared
import Wire
import WorkerCore

extension World {
  private func rank(_ node: Int) -> Int { node == Self.coordinatorNode ? -1 : workers[node].identity.rank }

  func cutUntil(_ from: Int, _ to: Int) -> Nanoseconds? {
    guard !cuts.isEmpty else { return nil }
    cuts.removeAll { $0.until <= now }
    let (a, b) = (rank(from), rank(to))
    return cuts.filter { $0.ranks == (a, b) || (!$0.oneWay && $0.ranks == (b, a)) }.map(\.until).max()
  }

  /// Puts a message on its way.
  /// - Parameter channel: messages of one channel between two processes keep their order, unless the weather is foul.
  func send(_ event: Event, from: Int, to: Int, channel: Int = 0) {
    var departure = now
    if let mended = cutUntil(from, to) {
      guard scenario.cutsHold else { return }
      departure = mended
    }
    let foul = now <= Scenario.horizon
    if foul, random.chance(scenario.lost) { return }
    let latency = scenario.latency
    var arrival = departure + latency / 2 + Nanoseconds(random.below(Int(latency)))
    if foul, random.chance(scenario.reordered) {
      arrival += Nanoseconds(random.below(Int(20 * latency)))
    } else {
      let wire = ((from + 2) << 20 | (to + 2)) << 3 | channel
      arrival = max(arrival, lastArrival[wire] ?? 0)
      lastArrival[wire] = arrival
    }
    let envelope = Envelope(node: to, event: event)
    queue.add(envelope, at: arrival)
    if foul, random.chance(scenario.duplicated) {
      // Mostly soon, sometimes very late.
      let late = random.chance(100) ? 3_000.milliseconds : 10 * latency
      queue.add(envelope, at: arrival + Nanoseconds(random.below(Int(late))))
    }
  }

  /// Flips a bit of a frame, now and then.
  func weathered(_ frame: [UInt8]) -> [UInt8] {
    guard now <= Scenario.horizon, random.chance(scenario.damaged) else { return frame }
    var frame = frame
    frame[random.below(frame.count)] ^= 1 << UInt8(random.below(8))
    return frame
  }

  func pid(of identity: WorkerIdentity) -> Int? { pids[identity] }

  // MARK: Connections to the coordinator

  /// A message to the coordinator, over the worker's present connection of that kind.
  func sendFromWorker(_ message: WorkerMessage, from worker: SimulatedWorker, _ channel: Sender.Channel) {
    send(.fromWorker(Sender(worker: worker.identity, channel: channel), message), from: worker, channel)
  }

  func sendFromWorker(_ request: BlobRequest, from worker: SimulatedWorker, _ channel: Sender.Channel) {
    send(.ask(name: request.name, from: worker.pid, channel: worker.connection), from: worker, channel)
  }

  func sendFromWorker(
    _ piece: BlobPiece, _ state: TrainingValue?, from worker: SimulatedWorker, _ channel: Sender.Channel
  ) {
    send(.piece(piece, from: worker.pid, state), from: worker, channel)
  }

  private func send(_ event: Event, from worker: SimulatedWorker, _ channel: Sender.Channel) {
    guard worker.isAlive, !deadConnections.contains(DeadConnection(pid: worker.pid, channel: channel)) else { return }
    send(event, from: worker.pid, to: Self.coordinatorNode, channel: channel.wire)
  }

  /// A message to a worker, over a connection that may not be its present one.
  func sendFromCoordinator(_ event: Event, to pid: Int, _ channel: Sender.Channel) {
    let present: Sender.Channel =
      switch channel {
      case .control: .control(workers[pid].connection)
      case .heartbeat: .heartbeat(workers[pid].heartbeatConnection)
      }
    guard channel == present, !deadConnections.contains(DeadConnection(pid: pid, channel: channel)) else { return }
    var event = event
    if case .fromCoordinator(let message, _) = event { event = .fromCoordinator(message, channel) }
    send(event, from: Self.coordinatorNode, to: pid, channel: channel.wire)
  }

  /// Where peers reach a process.
  static func endpoint(_ pid: Int) -> String { "tcp://10.0.0.1:\(pid + 1)" }
  static func key(_ pid: Int) -> PublicKey? {
    PublicKey(bytes: (0..<32).map { UInt8(truncatingIfNeeded: pid >> (8 * ($0 % 4))) })
  }

  static func pid(at endpoint: String) -> Int {
    endpoint.split(separator: ":").last.flatMap { Int($0) }.map { $0 - 1 } ?? -3
  }

  /// How a blob is announced.
  static func description(_ name: String, _ state: TrainingValue) -> BlobDescription {
    BlobDescription(name: name, bytes: 1, digest: state.digest)
  }
}

extension Sender.Channel {
  fileprivate var wire: Int {
    switch self {
    case .control: 0
    case .heartbeat: 1
    }
  }
}
