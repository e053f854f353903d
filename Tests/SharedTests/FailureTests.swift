import Shared
import Testing

@Suite struct FailureTests {
  private struct Careless: Failure {
    let status = ExitStatus.done
    let description = "a failure that calls itself a success"
  }

  @Test("no failure can be made to exit with 0, whatever a message says")
  func neverSuccess() {
    // As a fault's status arrives: 0, a code that nobody knows, one that is known.
    for (code, expected) in [(Int32(0), Int32(1)), (7, 1), (65, 65), (130, 130)] {
      let error = SharedError(ExitStatus(rawValue: code) ?? .failed, "a worker's fault")
      #expect(error.exitCode == expected && error.status.rawValue == expected)
    }
    #expect(Careless().exitCode == 1)
  }
}
