// Who gets in at a door with keys, and whose messages count.
import Foundation
import Shared
import Testing
import TestSupport
import Wire

@testable import Messaging

@Suite struct KeyTests {
  let server = KeyPair()
  let admitted = AdmittedKeys()
  static let anywhere = Endpoint.tcp(host: "127.0.0.1", port: 0)

  private func door() throws -> (Door, Endpoint) {
    let door = try Connections.coordinatorDoor(MessagingContext(.keys(own: server, admitted: admitted)))
    return (door, try door.socket.bind(Self.anywhere))
  }

  /// A connection of somebody with these keys, under any name.
  private func connect(_ own: KeyPair, _ name: ConnectionName, to endpoint: Endpoint) throws -> Socket {
    try Connections.connect(
      MessagingContext(.keys(own: own, admitted: AdmittedKeys())), name, to: endpoint, key: server.publicKey)
  }

  /// The next message that counts, or why one was refused.
  private func next(_ door: Door) throws -> (name: ConnectionName?, refused: String?) {
    var refused: String?
    while refused == nil {
      let ready = try Poller.wait(for: [PollItem(door.socket)], timeout: .seconds(10))
      guard !ready[0].isEmpty else { return (nil, nil) }
      if let message = try door.receive(refuse: { refused = $0 }) { return (message.name, nil) }
    }
    return (nil, refused)
  }

  private let worker = WorkerIdentity(rank: 3, incarnation: 7)

  @Test("a worker whose key is admitted is heard, under its own name only, until the key is revoked")
  func admission() throws {
    let (door, endpoint) = try door()
    let own = KeyPair()
    admitted.admit(own.publicKey, as: .init(worker))
    let socket = try connect(own, ConnectionName(worker, .control), to: endpoint)
    #expect(try socket.send([Data([1])]))
    #expect(try next(door).name == ConnectionName(worker, .control))

    let others = [
      WorkerIdentity(rank: 2, incarnation: 7), WorkerIdentity(rank: 3, incarnation: 8),
    ]
    for other in others {
      let liar = try connect(own, ConnectionName(other, .control), to: endpoint)
      #expect(try liar.send([Data([2])]))
      #expect(try next(door).refused == "its sender's key is not that of \(other)")
    }

    admitted.revoke { $0.rank == 3 }
    // The connection lives, and what comes over it does not count any more.
    #expect(try socket.send([Data([3])]))
    #expect(try next(door).refused?.contains("key") == true)
  }

  @Test("a key of a rank stands for all lives of its process")
  func ranks() throws {
    let (door, endpoint) = try door()
    let shared = KeyPair().secretKey
    let own = KeyPair.derived(from: shared, rank: 3)
    #expect(own.publicKey == KeyPair.derived(from: shared, rank: 3).publicKey)
    #expect(own.publicKey != KeyPair.derived(from: shared, rank: 4).publicKey)
    admitted.admit(own.publicKey, as: .init(rank: 3))
    for life in [UInt64(1), 2] {
      let name = ConnectionName(WorkerIdentity(rank: 3, incarnation: life), .heartbeat)
      let socket = try connect(own, name, to: endpoint)
      #expect(try socket.send([Data([1])]))
      #expect(try next(door).name == name)
    }
    let liar = try connect(own, ConnectionName(WorkerIdentity(rank: 4, incarnation: 1), .control), to: endpoint)
    #expect(try liar.send([Data([1])]))
    #expect(try next(door).refused != nil)
  }

  @Test("who knocks too early gets in when its key is admitted")
  func early() throws {
    let (door, endpoint) = try door()
    let own = KeyPair()
    let messaging = try MessagingContext(.keys(own: own, admitted: AdmittedKeys()))
    var options = Socket.Options()
    options.protection = .client(own, of: server.publicKey)
    options.routingID = Array(ConnectionName(worker, .control).bytes)
    let socket = try Socket(messaging, .dealer, options)
    let monitor = try HandshakeMonitor(messaging, socket)
    try socket.connect(endpoint)
    #expect(try monitor.outcome(within: .seconds(10)) == false)
    admitted.admit(own.publicKey, as: .init(worker))
    #expect(try socket.send([Data([1])]))
    #expect(try next(door).name == ConnectionName(worker, .control))
  }

  @Test("the check of a door finds it shut to a stranger, to plain text, and while nobody checks keys")
  func check() throws {
    let (door, endpoint) = try door()
    try DoorCheck.run(endpoint, key: server.publicKey)
    withExtendedLifetime(door) {}
  }

  @Test("the check of a door finds out that it is open to anybody")
  func openDoor() throws {
    // No authenticator: then CURVE lets any key in.
    var options = Socket.Options()
    options.protection = .server(server)
    let unguarded = try Socket(try MessagingContext(), .router, options)
    let endpoint = try unguarded.bind(Self.anywhere)
    let error = #expect(throws: SharedError.self) { try DoorCheck.run(endpoint, key: server.publicKey) }
    #expect(error?.description.contains("lets in a stranger's key") == true, "\(String(describing: error))")
    withExtendedLifetime(unguarded) {}
  }

  @Test("a connection to a process without its key is not made")
  func noKey() throws {
    let messaging = try MessagingContext(.keys(own: server, admitted: admitted))
    #expect(throws: MessagingError.self) {
      try Connections.connect(
        messaging, ConnectionName(worker, .control), to: .tcp(host: "127.0.0.1", port: 1), key: nil)
    }
  }

  // MARK: Files, and what is handed over

  @Test("a folder of keys is made once, and others cannot read it")
  func files() throws {
    let folder = try TemporaryFolder()
    let files = KeyFiles(folder.path("keys"))
    try files.make()
    let path = folder.path("keys/workers.secret")
    #expect(try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int == 0o600)
    #expect(try files.coordinator().publicKey == files.coordinatorKey())
    #expect(try files.worker(rank: 1).publicKey != files.worker(rank: 2).publicKey)
    #expect(throws: SharedError.self) { try files.make() }

    try FileManager.default.setAttributes([.posixPermissions: 0o604], ofItemAtPath: path)
    let open = #expect(throws: SharedError.self) { try files.worker(rank: 1) }
    #expect(open?.description.contains("others may read this key; chmod 600 it") == true)
    #expect(open?.status == .badConfiguration)
    try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: path)
    try Data("no key\n".utf8).write(to: URL(fileURLWithPath: path))
    let damaged = #expect(throws: SharedError.self) { try files.worker(rank: 1) }
    #expect(damaged?.description.contains("holds no key") == true)
  }

  @Test("a worker's keys come over a pipe, and what follows stays there")
  func handover() throws {
    let keys = WorkerKeys(own: KeyPair(), coordinator: server.publicKey, incarnation: 12)
    let pipe = Pipe()
    try pipe.fileHandleForWriting.write(contentsOf: Data(keys.line + [0x41]))
    let read = try WorkerKeys(readingFrom: pipe.fileHandleForReading.fileDescriptor)
    #expect(read.own.publicKey == keys.own.publicKey)
    #expect(read.coordinator == server.publicKey && read.incarnation == 12)
    #expect(try pipe.fileHandleForReading.read(upToCount: 1) == Data([0x41]))
    try pipe.fileHandleForWriting.close()
    let error = #expect(throws: SharedError.self) {
      try WorkerKeys(readingFrom: pipe.fileHandleForReading.fileDescriptor)
    }
    #expect(error?.description.contains("no keys on standard input") == true)
  }

  @Test("no description shows a secret key")
  func descriptions() {
    let pair = KeyPair()
    let secret = pair.secretKey.text
    #expect(!"\(pair) \(pair.secretKey) \(String(reflecting: pair))".contains(secret.prefix(8)))
  }
}
