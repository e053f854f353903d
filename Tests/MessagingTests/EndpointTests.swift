import Testing

@testable import Messaging

@Suite struct EndpointTests {
  @Test("a name is listened at where it leads, and an unknown one is refused")
  func names() throws {
    let socket = try Socket(try MessagingContext(), .router)
    #expect(try socket.bind(Endpoint("tcp://localhost:0")).host == "127.0.0.1")
    let error = #expect(throws: MessagingError.self) { try socket.bind(Endpoint("tcp://no-such-host.invalid:0")) }
    #expect(error?.description.contains("no-such-host.invalid") == true)
  }

  @Test(
    "a well-formed endpoint comes back as it was written",
    arguments: [
      "tcp://127.0.0.1:5577", "tcp://*:0", "tcp://[::1]:65535", "tcp://node-1.example.org:1", "inproc://ring",
    ])
  func roundTrip(text: String) throws {
    #expect(try Endpoint(text).description == text)
  }

  @Test(
    "a malformed endpoint is refused with its text in the message",
    arguments: [
      "", "tcp://", "tcp://host", "tcp://host:", "tcp://:5577", "tcp://host:65536", "tcp://host:-1", "tcp://host:+1",
      "tcp://host:１", "tcp://::1:5577", "tcp://[::1:5577", "tcp://[host]:1", "tcp://a b:1", "udp://host:1",
      "host:5577", "tcp://host:1;tcp://other:2", "inproc://", "tcp://host:000005577",
    ])
  func malformed(text: String) {
    let error = #expect(throws: MessagingError.self) { try Endpoint(text) }
    #expect(error?.description.contains("'\(text)'") == true)
    #expect(error?.status == .badConfiguration)
  }

  @Test("loopback is told from what others can reach")
  func loopback() throws {
    for text in ["127.0.0.1", "127.9.9.9", "localhost", "LocalHost", "[::1]", "[::ffff:127.0.0.1]"] {
      #expect(try Endpoint("tcp://\(text):1").isLoopback, "\(text)")
    }
    for text in ["*", "0.0.0.0", "10.0.0.1", "128.0.0.1", "[::]", "localhost.example.org", "127.0.0.1.nip.io"] {
      #expect(try !Endpoint("tcp://\(text):1").isLoopback, "\(text)")
    }
  }

  @Test("the route to a loopback address leaves from loopback; a name that cannot be is an error")
  func route() throws {
    #expect(try routeAddress(to: "127.0.0.1") == "127.0.0.1")
    #expect(isLoopback(host: try routeAddress(to: "localhost")))
    #expect(throws: MessagingError.self) { try routeAddress(to: "no such host") }
  }
}
