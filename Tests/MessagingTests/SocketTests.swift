import Foundation
import Shared
import Testing
import Wire

@testable import Messaging

@Suite(.timeLimit(.minutes(1))) struct SocketTests {
  private let anyPort = Endpoint.tcp(host: "127.0.0.1", port: 0)

  /// A router and a dealer that is connected to it, both in the calling thread.
  private func pair(
    routerOptions: Socket.Options = .init(), dealerOptions: Socket.Options = .init()
  ) throws -> (router: Socket, dealer: Socket) {
    let context = try MessagingContext()
    let router = try Socket(context, .router, routerOptions)
    let dealer = try Socket(context, .dealer, dealerOptions)
    try dealer.connect(try router.bind(anyPort))
    return (router, dealer)
  }

  @Test("port 0 becomes a real port, and a message of several parts is echoed across threads")
  func echo() throws {
    let context = try MessagingContext()
    let router = try Socket(context, .router)
    let endpoint = try router.bind(anyPort)
    guard case .tcp("127.0.0.1", let port) = endpoint else {
      Issue.record("bound to \(endpoint)")
      return
    }
    #expect(port > 0)
    let peer = Thread {
      do {
        var options = Socket.Options()
        options.routingID = Array("rank-1".utf8)
        options.linger = .seconds(5)
        let dealer = try Socket(context, .dealer, options)
        try dealer.connect(endpoint)
        #expect(try dealer.send([[1, 2], [], [3]]))
        #expect(try dealer.receive() == [Data([3]), Data(), Data([1, 2])])
        #expect(try dealer.send([[9]]))
      } catch {
        Issue.record(error)
      }
    }
    peer.start()
    let message = try #require(try router.receive())
    #expect(message == [Data("rank-1".utf8), Data([1, 2]), Data(), Data([3])])
    #expect(try router.send([message[0]] + message.dropFirst().reversed()))
    #expect(try router.receive()?.last == Data([9]))
  }

  @Test("a long part arrives whole, copied or lent, empty or not; lent storage is released after sending")
  func lending() throws {
    let (router, dealer) = try pair()
    for count in [0, 1, 33, 16 << 10, (16 << 10) + 1, 3 << 20] {
      weak var released: AlignedStorage<UInt8>?
      var expected = Data()
      do {
        let body = AlignedStorage<UInt8>((0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31) })
        expected = Data(body.array)
        released = body
        #expect(try dealer.send([Data([7])], lending: [body.lend(0..<count)]))
      }
      let message = try #require(try router.receive())
      #expect(message.dropFirst() == [Data([7]), expected])
      #expect(try router.send([message[0], message[2]]))
      #expect(try dealer.receive() == [expected])
      #expect(released == nil, "storage of \(count) bytes is still held")
    }
  }

  @Test("where the queue is full, sending without waiting says false and queues nothing")
  func highWater() throws {
    var options = Socket.Options()
    options.sendHighWater = 3
    options.immediate = true
    let dealer = try Socket(try MessagingContext(), .dealer, options)
    // Nobody is connected: nothing can be queued.
    #expect(try !dealer.send([[1], [2]], dontWait: true))
    #expect(try Poller.wait(for: [PollItem(dealer, .writable)], timeout: .zero) == [[]])

    options.immediate = false
    let waiting = try Socket(try MessagingContext(), .dealer, options)
    try waiting.connect(.tcp(host: "127.0.0.1", port: 1))
    var queued = 0
    while try waiting.send([[1], [2]], dontWait: true) { queued += 1 }
    #expect(queued == 3)
    let body = AlignedStorage<UInt8>(count: 10)
    #expect(try !waiting.send([Data([1])], lending: [body.lend(0..<10)], dontWait: true))
  }

  @Test("a router that must deliver says that a peer is unknown; one that need not is silent")
  func unknownPeer() throws {
    let context = try MessagingContext()
    let strict = try Socket(context, .router)
    try strict.bind(anyPort)
    let error = #expect(throws: MessagingError.self) { try strict.send([[1, 1], [2]]) }
    #expect(error?.isUnreachable == true)
    #expect(error?.status == .unavailable)

    var options = Socket.Options()
    options.mandatory = false
    let careless = try Socket(context, .router, options)
    #expect(try careless.send([[1, 1], [2]]))
  }

  @Test("a message over the limit of bytes or parts is dropped whole, and the next one is received")
  func limits() throws {
    var options = Socket.Options()
    options.maximumMessageBytes = 100
    options.maximumParts = 4
    let (router, dealer) = try pair(routerOptions: options)
    let tooLong = [Data(count: 60), Data(count: 60)]
    let tooMany = Array(repeating: Data([1]), count: 5)
    for (bad, limit) in [(tooLong, 100), (tooMany, 4)] {
      #expect(try dealer.send(bad))
      #expect(try dealer.send([[5]]))
      let error = #expect(throws: MessagingError.self) { try router.receive() }
      #expect(error?.cause == .tooLong(limit: limit))
      #expect(try router.receive()?.last == Data([5]))
    }
  }

  @Test("a part over the limit disconnects its sender")
  func partLimit() throws {
    var options = Socket.Options()
    options.maximumPartBytes = 100
    let (router, dealer) = try pair(routerOptions: options)
    #expect(try dealer.send([[UInt8](repeating: 0, count: 101)]))
    // What is sent before the connection is made anew may be lost with it.
    repeat {
      #expect(try dealer.send([[1]]))
    } while try Poller.wait(for: [PollItem(router)], timeout: .milliseconds(10)) == [[]]
    #expect(try router.receive()?.last == Data([1]))
  }

  @Test("a second connection does not take over the routing id of one that lives")
  func secondConnection() throws {
    let context = try MessagingContext()
    let router = try Socket(context, .router)
    let endpoint = try router.bind(anyPort)
    var peer = Socket.Options()
    peer.routingID = [42]
    let first = try Socket(context, .dealer, peer)
    try first.connect(endpoint)
    #expect(try first.send([[1]]))
    #expect(try router.receive() == [Data([42]), Data([1])])
    let second = try Socket(context, .dealer, peer)
    try second.connect(endpoint)
    #expect(try second.send([[2]]))
    #expect(try router.send([[42], [3]]))
    #expect(try first.receive() == [Data([3])])
    #expect(try first.send([[4]]))
    #expect(try router.receive() == [Data([42]), Data([4])])
  }

  @Test("a connection's name is read as it is written, and no other text is a name")
  func names() throws {
    let worker = WorkerIdentity(rank: 3, incarnation: .max)
    for channel in [.control, .heartbeat, .ring(generation: 7)] as [ConnectionName.Channel] {
      let name = ConnectionName(worker, channel, number: 12)
      #expect(ConnectionName(name.bytes) == name)
    }
    for text in [
      "", "c", "c.0.7", "c.00.7.0", "c.+0.7.0", "c.-1.7.0", "c.0.7.0.1", "g.0.7.0", "g.0.7.0.007", "x.0.7.0",
      "c.0.99999999999999999999.0", "g.0.7.0.4294967296", "c.0.7.0 ",
    ] { #expect(ConnectionName(Data(text.utf8)) == nil, "\(text)") }
    #expect(ConnectionName(Data([0x63, 0xFF])) == nil)
  }

  @Test("a taken address is an error that names it and says what to do")
  func takenAddress() throws {
    let context = try MessagingContext()
    let first = try Socket(context, .router)
    let endpoint = try first.bind(anyPort)
    let error = #expect(throws: MessagingError.self) { try Socket(context, .router).bind(endpoint) }
    #expect(error?.description.contains("\(endpoint)") == true)
    #expect(error?.description.contains("another port") == true)
    #expect(error?.status == .badConfiguration)
  }

  @Test("shutting the context down ends a wait")
  func shutdown() throws {
    let context = try MessagingContext()
    let socket = try Socket(context, .pair)
    try socket.bind(.inProcess("nobody"))
    Thread { context.shutdown() }.start()
    let error = #expect(throws: MessagingError.self) { try socket.receive() }
    #expect(error?.isShutdown == true)
  }
}
