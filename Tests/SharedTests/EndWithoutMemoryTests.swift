import Foundation
import Shared
import Testing

@Suite struct EndWithoutMemoryTests {
  @Test("a C++ library that gets no memory ends the process with a line, not with an exception that nobody catches")
  func library() async throws {
    let ended = try await #require(processExitsWith: .exitCode(69), observing: [\.standardErrorContent]) {
      endWhereLibrariesLackMemory()
      // operator new
      let name = try #require(dlsym(dlopen(nil, RTLD_NOW), "_Znwm"))
      typealias New = @convention(c) (Int) -> UnsafeMutableRawPointer?
      _ = unsafeBitCast(name, to: New.self)(1 << 60)
    }
    let text = String(decoding: ended.standardErrorContent, as: UTF8.self)
    #expect(text.contains(": no memory for a library: use fewer threads"), "\(text)")
  }
}
