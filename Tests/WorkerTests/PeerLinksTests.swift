// What a stranger can send to a worker's socket for peers.
import Foundation
import Messaging
import Ring
import Shared
import Testing

@testable import Worker

@Suite struct PeerLinksTests {
  @Test("a message of 65 parts, frames from nobody and frames of the past are dropped with a line each")
  func strangers() throws {
    let messaging = try MessagingContext()
    let peers = try PeerLinks(messaging, listen: Endpoint("tcp://127.0.0.1:0"))
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
      try send("g.0.1.7", [tag, Data([1])]), try send("g.007.1.7", [tag, Data([1])]),
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
}
