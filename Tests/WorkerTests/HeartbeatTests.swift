// The thread that sends a worker's heartbeats.
import Messaging
import Shared
import Testing
import Wire

@testable import Worker

@Suite struct HeartbeatTests {
  @Test("answers do not bring the next heartbeat forward")
  func interval() throws {
    let messaging = try MessagingContext()
    let coordinator = try Socket(messaging, .router)
    let endpoint = try coordinator.bind(Endpoint("tcp://127.0.0.1:0"))
    let heartbeat = Heartbeat(
      messaging, CoordinatorPlace(endpoint: endpoint, key: nil), WorkerIdentity(rank: 0, incarnation: 1)
    ) {}
    heartbeat.set(.milliseconds(100), reconnectAfter: .seconds(60))

    func answer() throws {
      _ = try Poller.wait(for: [PollItem(coordinator)], timeout: .seconds(10))
      let parts = try #require(try coordinator.receive(dontWait: true))
      let pulse = try ControlCodec.encode(CoordinatorMessage.pulse([]))
      _ = try coordinator.send([parts[0]] + pulse)
    }
    // The first interval may still be the longer one that a worker begins with.
    try answer()
    try answer()
    let start = ContinuousClock.now
    for _ in 0..<5 { try answer() }
    #expect(ContinuousClock.now - start >= .milliseconds(400))
  }

  @Test("a question for the worker's identity that comes here reaches the main thread")
  func identity() throws {
    let messaging = try MessagingContext()
    let coordinator = try Socket(messaging, .router)
    let endpoint = try coordinator.bind(Endpoint("tcp://127.0.0.1:0"))
    let wakeup = try Wakeup()
    let heartbeat = Heartbeat(
      messaging, CoordinatorPlace(endpoint: endpoint, key: nil), WorkerIdentity(rank: 0, incarnation: 1)
    ) { wakeup.signal() }
    _ = try Poller.wait(for: [PollItem(coordinator)], timeout: .seconds(10))
    let parts = try #require(try coordinator.receive(dontWait: true))
    _ = try coordinator.send([parts[0]] + ControlCodec.encode(CoordinatorMessage.identify(run: "r")))
    _ = try Poller.wait(for: [PollItem(wakeup)], timeout: .seconds(10))
    #expect(heartbeat.questions.take() == ["r"])
  }
}
