import Foundation
import Messaging
import Shared
import Testing
import Wire

@Suite struct ControlCodecTests {
  @Test("numbers that fit no field, and messages of many parts, are refused by the codec")
  func codec() throws {
    let header = try #require(try ControlCodec.encode(WorkerMessage.leaving).first?.prefix(4))
    for text in [
      #"{"prepared":{"generation":-1,"step":1,"weights":"00000000000000000000000000000000"}}"#,
      #"{"prepared":{"generation":4294967296,"step":1,"weights":"00000000000000000000000000000000"}}"#,
      #"{"prepared":{"generation":1,"step":18446744073709551616,"weights":"00000000000000000000000000000000"}}"#,
      #"{"prepared":{"generation":1,"step":1e400,"weights":"00000000000000000000000000000000"}}"#,
      #"{"prepared":{"generation":1,"step":1.5,"weights":"00000000000000000000000000000000"}}"#,
      #"{"evaluated":{"_0":{"step":1,"number":9223372036854775808},"_1":{"clips":1,"top1":0,"top5":0,"failed":[]}}}"#,
    ] {
      #expect(throws: SharedError.self) { try ControlCodec.decode(WorkerMessage.self, [header + Data(text.utf8)]) }
    }
    let parts = try ControlCodec.encode(WorkerMessage.leaving)
    #expect(throws: SharedError.self) {
      try ControlCodec.decode(WorkerMessage.self, parts + Array(repeating: Data(), count: 64))
    }
  }

  @Test("only messages with lists, or a recipe, may be long")
  func lengths() throws {
    func isTaken(_ text: String) throws -> Bool {
      let fault = WorkerMessage.fault(Fault(kind: .other, generation: 1, step: 1, text: text))
      return (try? ControlCodec.decode(WorkerMessage.self, ControlCodec.encode(fault))) != nil
    }
    #expect(try isTaken(String(repeating: "x", count: 60 << 10)))
    #expect(try !isTaken(String(repeating: "x", count: 64 << 10)))
    let welcome = CoordinatorMessage.welcome(
      Welcome(recipe: String(repeating: "x", count: 200 << 10), blobs: [], lastStep: 1))
    #expect(throws: Never.self) { try ControlCodec.decode(CoordinatorMessage.self, ControlCodec.encode(welcome)) }
  }
}
