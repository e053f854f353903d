// Hands the memory that this process shares to other processes of its user. They could open it under /proc, but not that of
// a process that holds keys: nobody may look into that one.
import CLinux
import Glibc
import Synchronization

/// The one door of this process. The kernel tells who knocks: another user gets nothing, and nothing is taken from one.
final class MemoryDoor: Sendable {
  /// Nil where the system has no such sockets.
  static let own = MemoryDoor()

  /// Random: others cannot be there before it.
  let number = UInt64.random(in: 1 ... .max)
  /// Descriptors, by the segments' random numbers.
  private let offered = Mutex<[UInt64: Int32]>([:])

  private init?() {
    let door = listenAtMemoryDoor(number)
    guard door >= 0 else { return nil }
    startThread(named: "memory door", stackSize: 256 << 10) { [self] in
      while true {
        let connection = acceptAtMemoryDoor(door)
        guard connection >= 0 else {
          // A connection that was given up, or no descriptor is left: the next one may do.
          if connection == -1, errno != ECONNABORTED { sleepThread(for: .milliseconds(10)) }
          continue
        }
        answer(connection)
        close(connection)
      }
    }
  }

  func offer(_ nonce: UInt64, _ descriptor: Int32) { offered.withLock { $0[nonce] = descriptor } }

  /// From now on nobody gets it: its descriptor may be closed.
  func withdraw(_ nonce: UInt64) { _ = offered.withLock { $0.removeValue(forKey: nonce) } }

  private func answer(_ connection: Int32) {
    var nonce: UInt64 = 0
    guard unsafe recv(connection, &nonce, MemoryLayout<UInt64>.size, 0) == MemoryLayout<UInt64>.size else { return }
    offered.withLock { if let descriptor = $0[nonce] { _ = sendDescriptor(connection, descriptor) } }
  }

  /// - Returns: a descriptor of another process's segment, or of an own one; nil if it is not on this machine, not this
  ///   user's, or gone. Whoever asked closes it.
  static func fetch(_ nonce: UInt64, from door: UInt64) -> Int32? {
    let connection = connectToMemoryDoor(door)
    guard connection >= 0 else { return nil }
    defer { close(connection) }
    var nonce = nonce
    guard unsafe sendQuietly(connection, &nonce, MemoryLayout<UInt64>.size) == MemoryLayout<UInt64>.size else {
      return nil
    }
    let descriptor = receiveDescriptor(connection)
    return descriptor >= 0 ? descriptor : nil
  }
}
