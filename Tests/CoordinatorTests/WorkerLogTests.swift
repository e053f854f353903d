import Foundation
import TestSupport
import Testing

@testable import Coordinator

@Suite struct WorkerLogTests {
  @Test(
    "the reason is the last line that is neither ordinary work nor part of a backtrace",
    arguments: [
      (
        "2026-01-01T00:00:00Z info rank 0: joined\nworker 0: no memory for 5 bytes: use fewer\n",
        "worker 0: no memory for 5 bytes: use fewer"
      ),
      (
        "ssh: connect to host node1 port 22: Connection refused\r\n",
        "ssh: connect to host node1 port 22: Connection refused"
      ),
      (
        "a.swift:4: Fatal error: no\n\n*** Signal 4: Backtracing from 0x7f… done ***\n\n*** Program crashed: Illegal instruction at 0x7f ***\n\nThread 0 \"t\" crashed:\n\n  0  0x00007f main + 225 in t\n",
        "a.swift:4: Fatal error: no"
      ),
      (
        "*** Signal 4: Backtracing from 0x5633… done ***\n\n*** Program crashed: Illegal instruction at 0x5633 ***\n\n0 0x1 main in t\n",
        "Program crashed: Illegal instruction at 0x5633"
      ),
      (
        "Fatal error: failed to allocate 32 bytes of memory with alignment 8\nCurrent stack trace:\n0    libswiftCore.so 0x00007f8a swift_reportError + 33\n",
        "Fatal error: failed to allocate 32 bytes of memory with alignment 8 (no memory: use fewer threads or slots on this host)"
      ),
      (
        "terminate called after throwing an instance of 'std::bad_alloc'\n  what():  std::bad_alloc\n",
        "what():  std::bad_alloc (no memory: use fewer threads or slots on this host)"
      ),
      ("2026-01-01T00:00:00Z error rank 3: the disk is gone\n", "the disk is gone"),
      ("old reason\n2026-01-01T00:00:00Z info rank 0: went on\n", nil),
      ("old reason\n2026-01-01T00:00:00Z warning rank 0: dropped message 1\n", nil), ("\n \n", nil), ("", nil),
      ("a\tb\u{1B}[31m\u{7}c", "a b [31m c"),
    ])
  func reasons(text: String, expected: String?) { #expect(WorkerLog.reason(in: text) == expected) }

  @Test("only what was written since the worker's start counts, and of that only the end is read")
  func bounded() throws {
    let folder = try TemporaryFolder()
    try folder.write("worker 0: an earlier end\n", to: "log")
    let start = WorkerLog.size(folder.path("log"))
    #expect(start == 25)
    #expect(WorkerLog.lastReason(in: folder.path("log"), from: 0) == "worker 0: an earlier end")
    #expect(WorkerLog.lastReason(in: folder.path("log"), from: start) == nil)
    #expect(WorkerLog.lastReason(in: folder.path("log"), from: start + 1000) == nil)
    #expect(WorkerLog.lastReason(in: folder.path("none"), from: 0) == nil)
    #expect(WorkerLog.size(folder.path("none")) == 0)
    // A hole of 8 GiB takes no room and would take long to read.
    let file = try FileHandle(forWritingTo: URL(fileURLWithPath: folder.path("log")))
    try file.seek(toOffset: 8 << 30)
    try file.write(contentsOf: Data(("\n" + String(repeating: "x", count: 1000) + "\n").utf8))
    try file.close()
    let line = try #require(WorkerLog.lastReason(in: folder.path("log"), from: start))
    #expect(line == String(repeating: "x", count: 400) + "…")
  }
}
