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
}
