// The worker's connections to the coordinator: control messages on one socket, heartbeats on another from a thread of
// their own, so that a busy loop is not taken for a dead one. Each connection can be replaced by one of another name.
import Foundation
import Glibc
import Messaging
import Shared
import Synchronization
import Wire
import WorkerCore

/// Where the coordinator is, and the key by which it is known; nil in a run without keys.
struct CoordinatorPlace {
  let endpoint: Endpoint
  let key: PublicKey?

  func connect(_ messaging: MessagingContext, _ name: ConnectionName) throws -> Socket {
    try Connections.connect(messaging, name, to: endpoint, key: key)
  }
}

/// Control messages to and from the coordinator.
final class CoordinatorLink {
  private(set) var socket: Socket
  private let messaging: MessagingContext
  private let coordinator: CoordinatorPlace
  private let identity: WorkerIdentity

  init(_ messaging: MessagingContext, _ coordinator: CoordinatorPlace, _ identity: WorkerIdentity) throws {
    self.messaging = messaging
    self.coordinator = coordinator
    self.identity = identity
    socket = try coordinator.connect(messaging, ConnectionName(identity, .control))
  }

  /// Replaces the connection by one of this number.
  func connect(_ number: Int) throws {
    socket = try coordinator.connect(messaging, ConnectionName(identity, .control, number: number))
  }

  /// Queues a message. A message that finds the queue full is dropped: everything that matters is resent.
  func send(_ message: WorkerMessage, payload: Data? = nil) throws {
    _ = try socket.send(try ControlCodec.encode(message, payload: payload), dontWait: true)
  }

  /// The next message, or nil. A malformed one is reported to `drop` and skipped.
  func receive(drop: (String) -> Void) throws -> (CoordinatorMessage, Data?)? {
    while let parts = try socket.receive(reporting: drop) {
      do {
        let (message, payload) = try ControlCodec.decode(CoordinatorMessage.self, parts)
        return (message, payload)
      } catch { drop("\(error)") }
    }
    return nil
  }
}

/// Sends heartbeats from a thread of its own until the process ends; and ends it, where the coordinator has evicted the
/// worker and the main thread does not react.
final class Heartbeat: Sendable {
  private let progress = Mutex(Wire.Progress())
  private let interval = Mutex(Duration.milliseconds(250))
  private let reconnectAfter = Mutex(Duration.seconds(3))
  /// The runs for which the coordinator has asked who this worker is: it does not know it, or not any more.
  let questions: Mailbox<String>

  /// - Parameter wake: called when there is a question.
  init(
    _ messaging: MessagingContext, _ coordinator: CoordinatorPlace, _ identity: WorkerIdentity,
    wake: @escaping @Sendable () -> Void
  ) {
    questions = Mailbox(wake: wake)
    startThread(named: "heartbeat") { [self] in
      do { try beat(messaging, coordinator, identity) } catch {
        try? FileHandle.standardError.write(contentsOf: Data("heartbeat: \(error)\n".utf8))
      }
    }
  }

  func set(_ interval: Duration, reconnectAfter: Duration) {
    self.interval.withLock { $0 = interval }
    self.reconnectAfter.withLock { $0 = reconnectAfter }
  }

  func update(_ change: (inout Wire.Progress) -> Void) { progress.withLock { change(&$0) } }

  private func beat(
    _ messaging: MessagingContext, _ coordinator: CoordinatorPlace, _ identity: WorkerIdentity
  ) throws {
    var socket = try coordinator.connect(messaging, ConnectionName(identity, .heartbeat))
    let start = ContinuousClock.now
    var liveness = LinkLiveness()
    var dismissed: (reason: String, at: ContinuousClock.Instant)?
    var due = start
    while true {
      // The coordinator answers each heartbeat: an answer must not bring the next one forward.
      if due <= .now {
        let message = WorkerMessage.heartbeat(progress.withLock { $0 })
        _ = try socket.send(try ControlCodec.encode(message), dontWait: true)
        due = .now + interval.withLock { $0 }
      }
      _ = try Poller.wait(for: [PollItem(socket)], timeout: max(.zero, due - .now))
      while let parts = try socket.receive(reporting: { _ in }) {
        liveness.heard(at: .now - start)
        switch try? ControlCodec.decode(CoordinatorMessage.self, parts).0 {
        case .dismiss(let reason, _)?: dismissed = dismissed ?? (reason, .now)
        case .identify(let run)?: questions.put([run])
        default: break
        }
      }
      if let dismissed, .now - dismissed.at > .seconds(5) {
        let text = "worker \(identity.rank): hangs, and was evicted: \(dismissed.reason)\n"
        try? FileHandle.standardError.write(contentsOf: Data(text.utf8))
        _exit(ExitStatus.unavailable.rawValue)
      }
      liveness.limit = reconnectAfter.withLock { $0 }
      if let number = liveness.reconnect(at: .now - start) {
        socket = try coordinator.connect(messaging, ConnectionName(identity, .heartbeat, number: number))
      }
    }
  }
}
