import Foundation
import Testing

@testable import Shared

@Suite struct MemorySegmentTests {
  @Test("what one writes the other reads, at once; the word too", arguments: [0, 100, 5 << 20])
  func reading(bytes: Int) throws {
    let own = try #require(MemorySegment.create(bytes: bytes))
    let other = try #require(MemorySegment.open(own.name))
    #expect(unsafe own.bytes(0..<bytes).allSatisfy { $0 == 0 } && other.word == 0)
    if bytes >= 64 {
      let values = AlignedStorage<UInt8>(in: own, at: 64, count: bytes - 64)
      for i in 0..<values.count { values[i] = UInt8(truncatingIfNeeded: 7 * i) }
      let isSame = unsafe other.bytes(64..<bytes).elementsEqual(values.buffer)
      #expect(isSame)
    }
    own.word = 9
    #expect(other.word == 9)
  }

  @Test("it goes on for who has mapped it when its maker is gone")
  func lasting() throws {
    var own = MemorySegment.create(bytes: 100)
    let name = try #require(own?.name)
    own?.word = 4
    let other = try #require(MemorySegment.open(name))
    own = nil
    #expect(other.word == 4)
    #expect(MemorySegment.open(name) == nil)
  }

  @Test("only the segment that is meant is opened")
  func strangers() throws {
    let own = try #require(MemorySegment.create(bytes: 100))
    let another = try #require(MemorySegment.create(bytes: 100))
    let wrong: [(inout MemorySegment.Name) -> Void] = [
      { $0.nonce ^= 1 }, { $0.bytes = 200 }, { $0.bytes = .max }, { $0.door ^= 1 },
      {
        $0.nonce = another.name.nonce; $0.bytes = 300
      },
    ]
    for change in wrong {
      var name = own.name
      change(&name)
      #expect(MemorySegment.open(name) == nil, "\(name)")
    }
    #expect(MemorySegment.open(own.name) != nil)
  }
}
