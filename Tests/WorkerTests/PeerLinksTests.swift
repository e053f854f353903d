// What a stranger can send to a worker's socket for peers.
import Foundation
import Messaging
import Shared
import Testing
import Wire

@testable import Ring
@testable import Worker

@Suite struct PeerLinksTests {
  @Test("a message of 65 parts, frames from nobody and frames of the past are dropped with a line each")
  func strangers() throws {
    let messaging = try MessagingContext()
    let peers = try PeerLinks(
      messaging, WorkerIdentity(rank: 0, incarnation: 5), listen: Endpoint("tcp://127.0.0.1:0"))
    let tag = Data([0x52])
    func send(_ name: String, _ parts: [Data]) throws -> Socket {
      var options = Socket.Options()
      options.routingID = Array(name.utf8)
      options.linger = .seconds(1)
      let socket = try Socket(messaging, .dealer, options)
      try socket.connect(peers.endpoint)
      #expect(try socket.send(parts))
      return socket
    }
    let senders = [
      try send("many", Array(repeating: Data([1]), count: 65)), try send("stranger", [tag, Data([1, 2, 3])]),
      try send("g.1.7.0.0", [tag, Data([1])]), try send("g.1.7.0.007", [tag, Data([1])]),
    ]
    var dropped: [String] = []
    while dropped.count < senders.count {
      _ = try Poller.wait(for: peers.pollItems, timeout: .seconds(10))
      let before = dropped.count
      let arrival = try peers.next { dropped.append($0) }
      #expect(arrival == nil)
      guard dropped.count > before else { break }
    }
    #expect(dropped.count == 4, "\(dropped)")
  }

  @Test("a left neighbour whose connection is another's name is heard over its next one, and gets the answers there")
  func nextConnection() throws {
    let messaging = try MessagingContext()
    let peers = try PeerLinks(
      messaging, WorkerIdentity(rank: 0, incarnation: 5), listen: Endpoint("tcp://127.0.0.1:0"))
    let (me, left) = (WorkerIdentity(rank: 0, incarnation: 5), WorkerIdentity(rank: 1, incarnation: 7))
    let members = [me, left].map { Member(identity: $0, endpoint: peers.endpoint.description, lanes: []) }
    try peers.open(Generation(number: 3, startStep: 0, members: members), position: 0)
    func heard(_ byte: UInt8, on number: Int) throws -> (socket: Socket, arrived: Bool) {
      let name = ConnectionName(left, .ring(generation: 3), number: number)
      let socket = try Connections.connect(messaging, name, to: peers.endpoint, key: nil)
      #expect(try socket.send([Data([0x52]), Data([byte])]))
      var dropped = false
      while !dropped {
        // The monitor of the connection to the right neighbour may be what is ready.
        let ready = try Poller.wait(for: peers.pollItems, timeout: .seconds(10))
        guard ready.contains(where: { !$0.isEmpty }) else { break }
        _ = try peers.rightWasClosed()
        if case .fromLeft? = try peers.next(drop: { _ in dropped = true }) { return (socket, true) }
      }
      return (socket, false)
    }
    let first = try heard(1, on: 0)
    // The first connection still lives: one of the same name would be ignored.
    let second = try heard(2, on: 1)
    #expect(first.arrived && second.arrived)
    #expect(try !heard(3, on: 0).arrived)
    try peers.sendLeft(FrameBytes(storage: AlignedStorage(count: Frame.headerBytes), length: Frame.headerBytes))
    _ = try Poller.wait(for: [PollItem(second.socket)], timeout: .seconds(10))
    #expect(try second.socket.receive(dontWait: true)?.count == 2)
  }
}
