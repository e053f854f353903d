// The worker's line to the coordinator: control messages on one socket, heartbeats on another from a thread of their
// own, so that a busy loop is not taken for a dead one.
import Foundation
import Glibc
import Messaging
import Shared
import Synchronization

/// Control messages to and from the coordinator.
final class CoordinatorLink {
  let socket: Socket

  init(_ messaging: MessagingContext, _ coordinator: Endpoint, _ identity: WorkerIdentity) throws {
    var options = Socket.Options()
    options.routingID = Array("c.\(identity.rank).\(identity.incarnation)".utf8)
    options.linger = .milliseconds(500)
    socket = try Socket(messaging, .dealer, options)
    try socket.connect(coordinator)
  }

  /// Queues a message. One that finds the queue full is dropped: everything that matters is said again.
  func send(_ message: WorkerMessage, payload: Data? = nil) throws {
    _ = try socket.send(try ControlCodec.encode(message, payload: payload), dontWait: true)
  }

  /// The next message, or nil. A malformed one is reported to `drop` and passed over.
  func receive(drop: (String) -> Void) throws -> (CoordinatorMessage, Data?)? {
    while let parts = try socket.receive(dontWait: true) {
      do {
        let (message, payload) = try ControlCodec.decode(CoordinatorMessage.self, parts)
        return (message, payload)
      } catch { drop("\(error)") }
    }
    return nil
  }
}

/// Sends heartbeats from a thread of its own until the process ends; and ends it, where the coordinator has given the
/// worker up and the worker's own thread does not hear.
final class Heartbeat: Sendable {
  private let progress = Mutex(Shared.Progress())
  private let interval = Mutex(Duration.milliseconds(250))

  init(_ messaging: MessagingContext, _ coordinator: Endpoint, _ identity: WorkerIdentity) {
    let thread = Thread { [self] in
      do { try beat(messaging, coordinator, identity) } catch {
        try? FileHandle.standardError.write(contentsOf: Data("heartbeat: \(error)\n".utf8))
      }
    }
    thread.name = "heartbeat"
    thread.start()
  }

  func set(_ interval: Duration) { self.interval.withLock { $0 = interval } }

  func update(_ change: (inout Shared.Progress) -> Void) { progress.withLock { change(&$0) } }

  private func beat(_ messaging: MessagingContext, _ coordinator: Endpoint, _ identity: WorkerIdentity) throws {
    var options = Socket.Options()
    options.routingID = Array("h.\(identity.rank).\(identity.incarnation)".utf8)
    options.sendHighWater = 4
    let socket = try Socket(messaging, .dealer, options)
    try socket.connect(coordinator)
    var dismissed: (reason: String, at: ContinuousClock.Instant)?
    while true {
      let message = WorkerMessage.heartbeat(progress.withLock { $0 })
      _ = try socket.send(try ControlCodec.encode(message), dontWait: true)
      _ = try Poller.wait(for: [PollItem(socket)], timeout: interval.withLock { $0 })
      while let parts = try socket.receive(dontWait: true) {
        guard case .dismiss(let reason, _)? = try? ControlCodec.decode(CoordinatorMessage.self, parts).0 else {
          continue
        }
        dismissed = dismissed ?? (reason, .now)
      }
      if let dismissed, .now - dismissed.at > .seconds(5) {
        let text = "worker \(identity.rank): hangs, and was given up: \(dismissed.reason)\n"
        try? FileHandle.standardError.write(contentsOf: Data(text.utf8))
        _exit(ExitStatus.unavailable.rawValue)
      }
    }
  }
}
