import Testing

@testable import Wire

@Suite struct ReadableTextTests {
  @Test("text from elsewhere cannot act on a terminal, nor fill it")
  func text() {
    #expect(readable("worker 3: no space left, größer, 日本") == "worker 3: no space left, größer, 日本")
    #expect(readable("a\u{1b}[2Jb\nc\u{202e}d\u{200b}") == #"a\u{1b}[2Jb\u{a}c\u{202e}d\u{200b}"#)
    let long = readable("begin" + String(repeating: "\u{7}", count: 100_000) + "end")
    #expect(long.count <= 500 && long.hasPrefix("begin"))
    let path = readable("/data/" + String(repeating: "x", count: 400) + ": Input/output error", atMost: 200)
    #expect(path.count <= 200 && path.hasPrefix("/data/x") && path.hasSuffix(": Input/output error"))
  }

  @Test("every text of a worker's message is made readable")
  func messages() {
    let bad = "\u{1b}]0;title"
    let hello = Hello(
      host: bad, pid: 1, threads: 1, endpoint: "tcp://h:1", fingerprint: [bad: bad])
    var progress = Progress()
    progress.dataLost = bad
    let messages: [WorkerMessage] = [
      .hello(hello), .heartbeat(progress), .standing(StateReport(generation: 1, next: 1, dataLost: bad)),
      .fault(Fault(kind: .other, generation: 1, step: 1, text: bad)),
    ]
    for message in messages { #expect(!"\(message.withReadableText)".contains("\u{1b}"), "\(message)") }
  }
}
