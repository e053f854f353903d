// The sockets between workers: one that peers reach this one at, and one to the right neighbour for each generation.
import Foundation
import Messaging
import Ring
import Shared
import Wire

/// What arrives from peers, and what goes to them.
final class PeerLinks {
  /// The first byte of a message between peers.
  private static let ringTag = Data([0x52])
  private static let blobTag = Data([0x42])

  enum Arrival {
    /// From the left neighbour of the present generation.
    case fromLeft(FrameMessage)
    /// From the right one: an acknowledgement.
    case fromRight(FrameMessage)
    /// - Parameter from: a number that stands for the peer in `answer`.
    case request(BlobRequest, from: Int)
    case piece(BlobPiece, Data?)
  }

  let endpoint: Endpoint
  private let messaging: MessagingContext
  private let inbound: Socket
  private var right: Socket?
  /// Notices when the right neighbour closes the connection.
  private var monitor: DisconnectMonitor?
  private var source: Socket?
  private var left = Data()
  /// The generation that runs, or ran last.
  private var present: UInt32 = 0
  /// Peers that asked for blobs, by the numbers that they go by here.
  private var askers: [Data] = []
  /// Ring messages of neighbours that began a generation before this worker did.
  private var early: [(from: Data, message: FrameMessage)] = []

  /// - Parameter listen: where peers reach this worker; port 0 for any.
  init(_ messaging: MessagingContext, listen: Endpoint) throws {
    self.messaging = messaging
    var options = Socket.Options()
    options.handover = true
    inbound = try Socket(messaging, .router, options)
    endpoint = try inbound.bind(listen)
  }

  /// Sockets to wait for.
  var pollItems: [PollItem] {
    [PollItem(inbound)] + [right, source, monitor?.socket].compactMap { $0 }.map { PollItem($0) }
  }

  // MARK: Generations

  private func name(_ identity: WorkerIdentity, _ generation: UInt32) -> Data {
    Data("g.\(generation).\(identity.rank).\(identity.incarnation)".utf8)
  }

  /// Connects to the right neighbour and listens to the left one.
  func open(_ generation: Generation, position: Int) throws {
    close()
    present = generation.number
    let members = generation.members
    let me = members[position]
    left = name(members[(position + members.count - 1) % members.count].identity, generation.number)
    early.removeAll { $0.from != left }
    guard members.count > 1 else { return }
    var options = Socket.Options()
    options.routingID = Array(name(me.identity, generation.number))
    // The ring resends what is lost: no more than its window ever needs to queue.
    options.sendHighWater = 64
    let socket = try Socket(messaging, .dealer, options)
    monitor = try DisconnectMonitor(messaging, socket)
    try socket.connect(try Endpoint(members[(position + 1) % members.count].endpoint))
    right = socket
  }

  /// Whether the connection to the right neighbour was closed since the last call.
  func rightWasClosed() -> Bool { monitor?.take() ?? false }

  func close() {
    monitor = nil
    right = nil
    left = Data()
  }

  /// Sends a frame to the right neighbour. A frame that finds the queue full is dropped; the ring resends it.
  func sendRight(_ frame: FrameBytes) throws {
    _ = try right?.send([Self.ringTag], lending: frame.parts, dontWait: true)
  }

  func sendLeft(_ frame: FrameBytes) throws {
    try unreachableIsSilent {
      _ = try inbound.send([left, Self.ringTag], lending: frame.parts, dontWait: true)
    }
  }

  // MARK: Blobs

  /// Asks a peer for a piece of a blob.
  func ask(_ endpoint: String, _ request: BlobRequest) throws {
    if source == nil || source?.place != endpoint {
      let socket = try Socket(messaging, .dealer)
      try socket.connect(try Endpoint(endpoint))
      source = socket
    }
    _ = try source?.send([Self.blobTag] + ControlCodec.encode(WorkerMessage.blobRequest(request)), dontWait: true)
  }

  func doneAsking() { source = nil }

  private func number(of asker: Data) -> Int {
    if let known = askers.firstIndex(of: asker) { return known }
    // Peers that fetch a state are at most the ranks of a run; their numbers are only used until they are answered.
    if askers.count >= 1 << 16 { askers = [] }
    askers.append(asker)
    return askers.count - 1
  }

  func answer(_ peer: Int, _ piece: BlobPiece, _ payload: Data?) throws {
    guard askers.indices.contains(peer) else { return }
    try reply(to: askers[peer], [Self.blobTag] + ControlCodec.encode(WorkerMessage.blobPiece(piece), payload: payload))
  }

  private func reply(to peer: Data, _ parts: [Data]) throws {
    try unreachableIsSilent { _ = try inbound.send([peer] + parts, dontWait: true) }
  }

  /// If the peer is gone, the coordinator notifies whoever needs to know.
  private func unreachableIsSilent(_ send: () throws -> Void) throws {
    do { try send() } catch let error as MessagingError where error.isUnreachable {}
  }

  // MARK: Arrivals

  /// The next arrival, or nil. A malformed message is reported to `drop` and skipped.
  func next(drop: (String) -> Void) throws -> Arrival? {
    if let place = early.firstIndex(where: { $0.from == left }) { return .fromLeft(early.remove(at: place).message) }
    while let parts = try inbound.receive(reporting: drop) {
      if (3...4).contains(parts.count), parts[1] == Self.ringTag {
        let message = FrameMessage(parts[2...])
        if parts[0] == left { return .fromLeft(message) }
        if !keep(parts[0], message) { drop("a frame from a peer of no coming generation") }
      } else if parts.count >= 3, parts[1] == Self.blobTag, let message = control(parts, from: 2, drop) {
        if case (.blobRequest(let request), _) = message { return .request(request, from: number(of: parts[0])) }
      } else {
        drop("a message of \(parts.count) parts from a peer that is no member")
      }
    }
    while let parts = try right?.receive(reporting: drop) {
      if parts.count == 2, parts[0] == Self.ringTag { return .fromRight(FrameMessage(parts[1...])) }
      drop("a message of \(parts.count) parts from the right neighbour")
    }
    while let parts = try source?.receive(reporting: drop) {
      if parts.first == Self.blobTag, case (.blobPiece(let piece), let payload)? = control(parts, from: 1, drop) {
        return .piece(piece, payload)
      }
    }
    return nil
  }

  private func control(_ parts: [Data], from start: Int, _ drop: (String) -> Void) -> (WorkerMessage, Data?)? {
    do {
      let (message, payload) = try ControlCodec.decode(WorkerMessage.self, Array(parts.dropFirst(start)))
      return (message, payload)
    } catch {
      drop("\(error)")
      return nil
    }
  }

  /// Frames of a neighbour that began its generation before this worker did are few, and short.
  private static let earlyLimit = (messages: 256, bytes: 64 << 20)

  /// - Returns: false for a sender whose name is not that of a member of a coming generation.
  private func keep(_ from: Data, _ message: FrameMessage) -> Bool {
    guard let number = Self.generation(of: from), number > present else { return false }
    early.append((from, message))
    while early.count > Self.earlyLimit.messages
      || early.reduce(0, { $0 + $1.message.count }) > Self.earlyLimit.bytes
    {
      early.removeFirst()
    }
    return true
  }

  /// The generation that a ring connection's name says, if it is written as `name` writes it.
  private static func generation(of name: Data) -> UInt32? {
    let parts = String(decoding: name, as: UTF8.self).split(separator: ".", omittingEmptySubsequences: false)
    guard parts.count == 4, parts[0] == "g", let number = UInt32(parts[1]), let rank = Int(parts[2]), rank >= 0,
      let life = UInt64(parts[3]), Data("g.\(number).\(rank).\(life)".utf8) == name
    else { return nil }
    return number
  }
}
