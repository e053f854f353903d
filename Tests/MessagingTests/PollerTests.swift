import Foundation
import Shared
import Testing

@testable import Messaging

@Suite(.serialized, .timeLimit(.minutes(1))) struct PollerTests {
  @Test("a wakeup from another thread ends a wait, several are one, and clearing it ends its readiness")
  func wakeup() throws {
    let wakeup = try Wakeup()
    let items = [PollItem(wakeup)]
    #expect(try Poller.wait(for: items, timeout: .zero) == [[]])
    Thread { for _ in 0..<3 { wakeup.signal() } }.start()
    #expect(try Poller.wait(for: items, timeout: nil) == [.readable])
    // Each signal before the last may be seen on its own, but after 100,000 the pipe is full and none blocks.
    for _ in 0..<100_000 { wakeup.signal() }
    wakeup.clear()
  }

  @Test("of several items, those that are ready say so, in their order")
  func several() throws {
    let context = try MessagingContext()
    let quiet = try Socket(context, .pair)
    try quiet.bind(.inProcess("quiet"))
    let (left, right) = (try Socket(context, .pair), try Socket(context, .pair))
    try left.bind(.inProcess("loud"))
    try right.connect(.inProcess("loud"))
    #expect(try right.send([[1]]))
    let wakeup = try Wakeup()
    wakeup.signal()
    let ready = try Poller.wait(
      for: [PollItem(quiet), PollItem(left, [.readable, .writable]), PollItem(wakeup)], timeout: .seconds(30))
    #expect(ready == [[], [.readable, .writable], .readable])
  }

  @Test("a wait ends when its time is over, not before, though signals interrupt it")
  func timeout() throws {
    let signals = try SignalSource([SIGUSR2])
    let wakeup = try Wakeup()
    let ended = DispatchSemaphore(value: 0)
    Thread {
      // The test's own thread belongs to a pool that blocks signals, and its threads inherit that.
      var mask = sigset_t()
      sigemptyset(&mask)
      pthread_sigmask(SIG_SETMASK, &mask, nil)
      let start = ContinuousClock.now
      let waiting = pthread_self()
      Thread { for _ in 0..<20 { pthread_kill(waiting, SIGUSR2) } }.start()
      let ready = Result { try Poller.wait(for: [PollItem(wakeup)], timeout: .milliseconds(50)) }
      #expect((try? ready.get()) == [[]])
      #expect(ContinuousClock.now - start >= .milliseconds(50))
      ended.signal()
    }.start()
    ended.wait()
    #expect(try Poller.wait(for: [PollItem(signals)], timeout: .seconds(30)) == [.readable])
  }

  @Test("signals are taken in order, and another source may follow")
  func signals() throws {
    for _ in 0..<2 {
      let signals = try SignalSource([SIGUSR1, SIGUSR2])
      #expect(signals.take() == [])
      kill(getpid(), SIGUSR1)
      var taken: [Int32] = []
      while taken.count < 1 {
        _ = try Poller.wait(for: [PollItem(signals)], timeout: .seconds(30))
        taken += signals.take()
      }
      kill(getpid(), SIGUSR2)
      while taken.count < 2 {
        _ = try Poller.wait(for: [PollItem(signals)], timeout: .seconds(30))
        taken += signals.take()
      }
      #expect(taken == [SIGUSR1, SIGUSR2])
    }
  }

  @Test("a signal that is ignored from the start stays so where that is wanted, another is taken")
  func ignoredFromTheStart() throws {
    try ignore(signals: [SIGUSR1])
    for expected in [[SIGUSR2], [SIGUSR1, SIGUSR2]] {
      let signals = try SignalSource([SIGUSR2], unlessIgnored: [SIGUSR1])
      kill(getpid(), SIGUSR1)
      var taken: [Int32] = []
      if expected.count == 2 {
        while taken.isEmpty {
          _ = try Poller.wait(for: [PollItem(signals)], timeout: .seconds(30))
          taken += signals.take()
        }
      }
      kill(getpid(), SIGUSR2)
      while taken.last != SIGUSR2 {
        _ = try Poller.wait(for: [PollItem(signals)], timeout: .seconds(30))
        taken += signals.take()
      }
      #expect(taken == expected)
      signal(SIGUSR1, SIG_DFL)
    }
  }

  @Test("a signal that cannot be handled is an error")
  func impossibleSignal() {
    #expect(throws: MessagingError.self) { try SignalSource([SIGKILL]) }
    #expect(throws: MessagingError.self) { try ignore(signals: [SIGSTOP]) }
  }

  @Test("durations become milliseconds, rounded up and limited")
  func milliseconds() {
    #expect(Duration.zero.wholeMilliseconds == 0)
    #expect(Duration.nanoseconds(1).wholeMilliseconds == 1)
    #expect(Duration.milliseconds(1500).wholeMilliseconds == 1500)
    #expect(Duration.seconds(-1).wholeMilliseconds == 0)
    #expect(Duration.seconds(Int64.max).wholeMilliseconds == Int32.max)
  }
}
