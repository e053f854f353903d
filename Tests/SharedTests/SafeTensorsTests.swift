import Foundation
import Testing

@testable import Shared

@Suite struct SafeTensorsTests {
  private func sample() -> Data {
    var writer = SafeTensorsWriter()
    writer.add("b", .float32, shape: [2, 1], [Float(1.5), -2])
    writer.add("a", .int64, shape: [], [Int64(-7)])
    writer.metadata = ["step": "3"]
    return writer.bytes()
  }

  @Test("what is written is read back, names sorted, padded to 8")
  func roundTrip() throws {
    let bytes = sample()
    let file = try SafeTensors(bytes, origin: "memory")
    #expect(try file.floats("b", shape: [2, 1]) == [1.5, -2])
    #expect(try file.int64s("a") == [-7])
    #expect(file.metadata == ["step": "3"])
    #expect(bytes == sample())
    #expect(bytes.count % 8 == 0)
  }

  @Test("a truncated or lengthened file is refused at every length")
  func damage() {
    let bytes = sample()
    for length in 0..<bytes.count {
      #expect(throws: SharedError.self) { try SafeTensors(bytes.prefix(length), origin: "cut") }
    }
    #expect(throws: SharedError.self) { try SafeTensors(bytes + [0], origin: "long") }
  }
}
