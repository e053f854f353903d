// Sending and receiving messages of several parts, without copying the long ones.
import CZMQ
import Foundation
import Shared

extension Socket {
  /// Sends a message of several parts; a router's first part is the peer's routing id.
  ///
  /// The message is queued whole or not at all. If the peer goes away later, it is lost.
  /// - Parameter dontWait: whether to return at once if the queue is full.
  /// - Returns: false if the message would have had to wait and was not sent.
  /// - Throws: `MessagingError`; its `isUnreachable` is true if a router knows no such peer.
  public func send(_ parts: [Data], dontWait: Bool = false) throws -> Bool {
    precondition(!parts.isEmpty, "a message has at least one part")
    for (i, part) in parts.enumerated() {
      let flags = flags(first: i == 0, last: i == parts.count - 1, dontWait: dontWait)
      let sent = try callUnlessBlocked("send to", place) {
        unsafe part.withUnsafeBytes { unsafe zmq_send(handle, $0.baseAddress, $0.count, flags) }
      }
      if sent == nil { return false }
    }
    return true
  }

  /// The same for plain arrays.
  public func send(_ parts: [[UInt8]], dontWait: Bool = false) throws -> Bool {
    try send(parts.map { Data($0) }, dontWait: dontWait)
  }

  /// Sends `head`, then `pieces` as further parts. Only short pieces are copied.
  ///
  /// The pieces' storage is kept alive until ZeroMQ has sent it. If it changes before that, the changed bytes are sent.
  public func send(_ head: [Data], lending pieces: [LentBytes], dontWait: Bool = false) throws -> Bool {
    // Only the first part can block. Once it is queued, the others follow without waiting.
    for (i, part) in head.enumerated() {
      let flags = flags(first: i == 0, last: pieces.isEmpty && i == head.count - 1, dontWait: dontWait)
      let sent = try callUnlessBlocked("send to", place) {
        unsafe part.withUnsafeBytes { unsafe zmq_send(handle, $0.baseAddress, $0.count, flags) }
      }
      if sent == nil { return false }
    }
    for (i, piece) in pieces.enumerated() {
      let flags = flags(first: head.isEmpty && i == 0, last: i == pieces.count - 1, dontWait: dontWait)
      guard try lend(piece, flags) else { return false }
    }
    return true
  }

  private func lend(_ piece: LentBytes, _ flags: Int32) throws -> Bool {
    let count = piece.count
    if count <= Self.copiedBytes {
      return try callUnlessBlocked("send to", place) {
        unsafe zmq_send(handle, piece.raw.baseAddress, count, flags)
      } != nil
    }
    var message = zmq_msg_t()
    let owner = unsafe Unmanaged.passRetained(piece.owner)
    let initialised = unsafe zmq_msg_init_data(
      &message, UnsafeMutableRawPointer(mutating: piece.raw.baseAddress), count,
      { _, hint in
        if let hint = unsafe hint { unsafe Unmanaged<AnyObject>.fromOpaque(hint).release() }
      }, owner.toOpaque())
    if initialised == -1 {
      unsafe owner.release()
      throw MessagingError("zmq_msg_init_data", place, .system(ENOMEM))
    }
    do {
      if try callUnlessBlocked("send to", place, { unsafe zmq_msg_send(&message, handle, flags) }) != nil {
        return true
      }
    } catch {
      unsafe zmq_msg_close(&message)
      throw error
    }
    unsafe zmq_msg_close(&message)
    return false
  }

  /// Only the first part can find the queue full. If the peer goes away between two parts, a router or dealer silently
  /// drops the rest (but returns `EAGAIN` with `dontWait`), and a pair would wait for another peer.
  private func flags(first: Bool, last: Bool, dontWait: Bool) -> Int32 {
    let wait = first ? !dontWait : kind != .pair
    return (last ? 0 : ZMQ_SNDMORE) | (wait ? 0 : ZMQ_DONTWAIT)
  }

  /// Receives a message of several parts; a router's first part is the peer's routing id.
  ///
  /// - Returns: nil if there is none and `dontWait` is true.
  /// - Throws: `MessagingError` with cause `tooLong` if the message exceeds the limits in the options. The whole
  ///   message is dropped, and the socket is ready for the next.
  public func receive(dontWait: Bool = false) throws -> [Data]? { try receiveWithUser(dontWait: dontWait)?.parts }

  /// The same, with what the context's authenticator said of the connection that the message came over.
  func receiveWithUser(dontWait: Bool) throws -> (parts: [Data], user: String?)? {
    guard let first = try receivePart(dontWait: dontWait) else { return nil }
    var parts = [first.data]
    var bytes = first.data.count
    var count = 1
    var more = first.more
    // A routing id was set by the socket here: what came over the connection knows the user.
    var user = first.user
    while more {
      // The parts of a message arrive together, so this never waits.
      guard let part = try receivePart(dontWait: false) else { break }
      user = user ?? part.user
      bytes += part.data.count
      count += 1
      more = part.more
      if bytes <= options.maximumMessageBytes && count <= options.maximumParts { parts.append(part.data) }
    }
    if bytes > options.maximumMessageBytes {
      throw MessagingError("receive at", place, .tooLong(limit: options.maximumMessageBytes))
    }
    if count > options.maximumParts {
      throw MessagingError("receive at", place, .tooLong(limit: options.maximumParts))
    }
    return (parts, user)
  }

  /// Receives the next message that is here, without waiting. A message that exceeds the limits is reported and
  /// skipped.
  /// - Returns: nil if there is none.
  public func receive(reporting drop: (String) -> Void) throws -> [Data]? {
    while true {
      do { return try receive(dontWait: true) } catch let error as MessagingError where error.isTooLong {
        drop("\(error)")
      }
    }
  }

  private func receivePart(dontWait: Bool) throws -> (data: Data, more: Bool, user: String?)? {
    let message = UnsafeMutablePointer<zmq_msg_t>.allocate(capacity: 1)
    unsafe zmq_msg_init(message)
    func release() {
      unsafe zmq_msg_close(message)
      unsafe message.deallocate()
    }
    let flags = dontWait ? ZMQ_DONTWAIT : 0
    do {
      guard try callUnlessBlocked("receive at", place, { unsafe zmq_msg_recv(message, handle, flags) }) != nil else {
        release()
        return nil
      }
    } catch {
      release()
      throw error
    }
    let more = unsafe zmq_msg_more(message) != 0
    var user: String?
    if case .server = options.protection {
      user = unsafe zmq_msg_gets(message, "User-Id").map { unsafe String(cString: $0) }
    }
    let count = unsafe zmq_msg_size(message)
    guard count > Self.copiedBytes, let bytes = unsafe zmq_msg_data(message) else {
      let data = unsafe count == 0 ? Data() : Data(UnsafeRawBufferPointer(start: zmq_msg_data(message), count: count))
      release()
      return (data, more, user)
    }
    // ZeroMQ's message lives until the data's last user is gone.
    let address = UInt(bitPattern: message)
    let data = unsafe Data(
      bytesNoCopy: bytes, count: count,
      deallocator: .custom { _, _ in
        guard let message = unsafe UnsafeMutablePointer<zmq_msg_t>(bitPattern: address) else { return }
        unsafe zmq_msg_close(message)
        unsafe message.deallocate()
      })
    return (data, more, user)
  }

  /// Parts up to this many bytes are copied, which is cheaper than keeping ZeroMQ's block alive.
  public static let copiedBytes = 16 << 10
}
