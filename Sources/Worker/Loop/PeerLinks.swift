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
  private let identity: WorkerIdentity
  private let door: Door
  private var right: Socket?
  /// Notices when the right neighbour closes the connection.
  private var monitor: DisconnectMonitor?
  private var source: Socket?
  /// How many connections for blobs there were.
  private var sources = 0
  /// The right neighbour, and the name of the connection to it.
  private var target: (peer: Member, name: ConnectionName, since: ContinuousClock.Instant)?
  /// The left neighbour's newest connection.
  private var left: ConnectionName?
  /// The generation that runs, or ran last.
  private var present: UInt32 = 0
  /// Peers that asked for blobs, by the numbers that they go by here.
  private var askers: [ConnectionName] = []
  /// In a run with keys: who is let in, as members of the generation that runs or ran last, and as those of one that is
  /// prepared.
  private var members: [Peer] = []
  private var coming: (generation: UInt32, peers: [Peer]) = (0, [])
  /// Ring messages of neighbours that began a generation before this worker did.
  private var early: [(from: ConnectionName, message: FrameMessage)] = []

  /// - Parameter listen: where peers reach this worker; port 0 for any.
  init(_ messaging: MessagingContext, _ identity: WorkerIdentity, listen: Endpoint) throws {
    self.messaging = messaging
    self.identity = identity
    door = try Connections.peerDoor(messaging)
    endpoint = try door.socket.bind(listen)
  }

  /// Sockets to wait for.
  var pollItems: [PollItem] {
    [PollItem(door.socket)] + [right, source, monitor?.socket].compactMap { $0 }.map { PollItem($0) }
  }

  // MARK: Generations

  /// Lets in the peers that prepare for a generation, besides the members of the one before.
  func admit(_ peers: [Peer], generation: UInt32) {
    guard generation >= coming.generation else { return }
    coming = (generation, peers)
    door.admitted?.admitOnly(members + coming.peers)
  }

  /// Connects to the right neighbour and listens to the left one.
  func open(_ generation: Generation, position: Int) throws {
    close()
    present = generation.number
    let members = generation.members
    let me = members[position]
    self.members = members.compactMap(\.peer)
    if coming.generation <= generation.number { coming = (generation.number, []) }
    door.admitted?.admitOnly(self.members + coming.peers)
    let ring = ConnectionName.Channel.ring(generation: generation.number)
    let name = ConnectionName(members[(position + members.count - 1) % members.count].identity, ring)
    early.removeAll { $0.from.worker != name.worker || $0.from.channel != ring }
    guard members.count > 1 else { return }
    left = name
    try connect(members[(position + 1) % members.count], ConnectionName(me.identity, ring))
  }

  private func connect(_ peer: Member, _ name: ConnectionName) throws {
    monitor = nil
    let made = try Connections.monitored(messaging, name, to: try Endpoint(peer.endpoint), key: peer.key)
    (right, monitor) = (made.socket, made.monitor)
    target = (peer, name, .now)
  }

  /// Whether the connection to the right neighbour was closed since the last call. ZeroMQ makes it again under its
  /// name, which the neighbour may ignore; so once a second at most there is one of a new name.
  func rightWasClosed() throws -> Bool {
    guard let monitor, monitor.take(), case (let peer, var name, let since)? = target else { return false }
    if .now - since > .seconds(1) {
      name.number += 1
      try connect(peer, name)
    }
    return true
  }

  func close() {
    monitor = nil
    right = nil
    target = nil
    left = nil
  }

  /// Sends a frame to the right neighbour. A frame that finds the queue full is dropped; the ring resends it.
  func sendRight(_ frame: FrameBytes) throws {
    _ = try right?.send([Self.ringTag], lending: frame.parts, dontWait: true)
  }

  func sendLeft(_ frame: FrameBytes) throws {
    guard let left else { return }
    // If the peer is gone, the coordinator notifies whoever needs to know.
    try door.send([Self.ringTag], lending: frame.parts, to: left)
  }

  // MARK: Blobs

  /// Asks a peer for a piece of a blob.
  func ask(_ endpoint: String, _ request: BlobRequest) throws {
    if source == nil || source?.place != endpoint {
      sources += 1
      let key = (coming.peers + members).first { $0.endpoint == endpoint }?.key
      source = try Connections.connect(
        messaging, ConnectionName(identity, .blobs, number: sources), to: Endpoint(endpoint), key: key)
    }
    _ = try source?.send([Self.blobTag] + ControlCodec.encode(WorkerMessage.blobRequest(request)), dontWait: true)
  }

  func doneAsking() { source = nil }

  private func number(of asker: ConnectionName) -> Int {
    if let known = askers.firstIndex(of: asker) { return known }
    // Peers that fetch a state are at most the ranks of a run; their numbers are only used until they are answered.
    if askers.count >= 1 << 16 { askers = [] }
    askers.append(asker)
    return askers.count - 1
  }

  func answer(_ peer: Int, _ piece: BlobPiece, _ payload: Data?) throws {
    guard askers.indices.contains(peer) else { return }
    let parts = try ControlCodec.encode(WorkerMessage.blobPiece(piece), payload: payload)
    try door.send([Self.blobTag] + parts, to: askers[peer])
  }

  // MARK: Arrivals

  /// The next arrival, or nil. A malformed message is reported to `drop` and skipped.
  func next(drop: (String) -> Void) throws -> Arrival? {
    while let place = early.firstIndex(where: { $0.from.channel == left?.channel }) {
      let (from, message) = early.remove(at: place)
      if isLeft(from) { return .fromLeft(message) }
    }
    while let (from, _, parts) = try door.receive(refuse: drop) {
      if (2...3).contains(parts.count), parts[0] == Self.ringTag {
        let message = FrameMessage(parts[1...])
        if isLeft(from) { return .fromLeft(message) }
        if !keep(from, message) { drop("a frame from a peer of no coming generation") }
      } else if parts.count >= 2, parts[0] == Self.blobTag, from.channel == .blobs,
        let message = control(parts, from: 1, drop)
      {
        if case (.blobRequest(let request), _) = message { return .request(request, from: number(of: from)) }
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
  private static let earlyLimit = (messages: 256, bytes: 32 << 20)

  /// Whether this is the left neighbour's newest connection in the present generation.
  private func isLeft(_ from: ConnectionName) -> Bool {
    guard let left, from.worker == left.worker, from.channel == left.channel, from.number >= left.number else {
      return false
    }
    self.left = from
    return true
  }

  /// - Returns: false for a sender whose name is not that of a member of a coming generation.
  private func keep(_ from: ConnectionName, _ message: FrameMessage) -> Bool {
    guard case .ring(let generation) = from.channel, generation > present else { return false }
    early.append((from, message))
    while early.count > Self.earlyLimit.messages
      || early.reduce(0, { $0 + $1.message.count }) > Self.earlyLimit.bytes
    {
      early.removeFirst()
    }
    return true
  }
}
