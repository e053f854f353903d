import Foundation
import Shared
import Synchronization
import Testing

@Suite struct StartThreadTests {
  private final class Name: Sendable {
    let text = Mutex("")
  }

  @Test("a started thread runs, under its name")
  func runs() {
    let done = DispatchSemaphore(value: 0)
    let name = Name()
    startThread(named: "a name that is too long", stackSize: 1 << 20) {
      let text = try? String(contentsOfFile: "/proc/thread-self/comm", encoding: .utf8)
      name.text.withLock { $0 = text ?? "" }
      done.signal()
    }
    done.wait()
    #expect(name.text.withLock { $0 } == "a name that is \n")
  }

  @Test("a thread that the system refuses ends the process with a line, instead of leaving others to wait for its work")
  func refused() async throws {
    let ended = try await #require(
      processExitsWith: .exitCode(69), observing: [\.standardErrorContent]
    ) {
      startThread(named: "lane 0", stackSize: 1 << 46) {}
      // With a thread that is silently missing, this is where a worker would wait for ever.
      exit(0)
    }
    let text = String(decoding: ended.standardErrorContent, as: UTF8.self)
    #expect(text.contains(": no thread \"lane 0\" can be started (") && text.contains("use fewer threads"), "\(text)")
  }
}
