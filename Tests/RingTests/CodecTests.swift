import CKernels
import Foundation
import Shared
import Testing

@testable import Ring

@Suite struct CodecTests {
  private func roundTrip<Value: ReducibleInteger>(_ values: [Value], capacity: Int = 65_536) throws -> Int {
    let codec = ChunkCodec(capacity: capacity)
    var bytes = [UInt8](repeating: 0xAA, count: values.count * MemoryLayout<Value>.size)
    let compressed = values.withUnsafeBufferPointer { source in
      bytes.withUnsafeMutableBytes { codec.compress(source, into: $0) }
    }
    if compressed == nil { values.withUnsafeBytes { bytes = Array($0) } }
    let encoding = compressed == nil ? ChunkEncoding.stored : .lz4
    let written = compressed ?? bytes.count
    #expect(compressed.map { $0 < bytes.count } ?? true)
    var decoded = [Value](repeating: 1, count: values.count)
    let valid = bytes[..<written].withUnsafeBytes { source in
      decoded.withUnsafeMutableBufferPointer { codec.decode(source, encoding, into: $0) }
    }
    #expect(valid && decoded == values)
    return written
  }

  private func gaussian(_ count: Int, deviation: Double) -> [Int32] {
    var random = Philox(seed: 3, .selfTest)
    return (0..<count).map { _ in
      let radius = (-2 * Foundation.log(1 - random.unit())).squareRoot()
      return Int32((radius * cos(2 * .pi * random.unit()) * deviation).rounded())
    }
  }

  @Test("every count comes back, extreme values too, and never grows")
  func counts() throws {
    var random = Philox(seed: 1, .selfTest)
    for count in Array(0...70) + [255, 256, 257, 1000, 65_535, 65_536] {
      _ = try roundTrip((0..<count).map { _ in Int32(truncatingIfNeeded: random.next()) })
      _ = try roundTrip((0..<count).map { _ in Int64(bitPattern: random.next()) })
      _ = try roundTrip((0..<count).map { _ in Int32(random.below(9)) - 4 })
      _ = try roundTrip((0..<count).map { _ in [Int32.min, .max, 0, -1][random.below(4)] })
      _ = try roundTrip((0..<count).map { _ in [Int64.min, .max, 0, -1][random.below(4)] })
    }
  }

  @Test("gaussian integers of ten bits shrink 2.4 times, zeros to almost nothing")
  func ratio() throws {
    let values = gaussian(65_536, deviation: 1024)
    #expect(Double(4 * values.count) / Double(try roundTrip(values)) > 2.4)
    #expect(try roundTrip([Int32](repeating: 0, count: 65_536)) < 2000)
  }

  @Test("what fits into 16 bits comes back from them, what does not is refused, and so is any other length")
  func shorts() {
    let codec = ChunkCodec(capacity: 4096)
    for (values, fits) in [([-32768, 5, 32767, 0], true), ([0, 32768], false), ([-32769], false)] as [([Int32], Bool)] {
      var bytes = [UInt8](repeating: 0xAA, count: 4 * values.count)
      let written = values.withUnsafeBufferPointer { source in
        bytes.withUnsafeMutableBytes { codec.shorten(source, into: $0) }
      }
      #expect(written == (fits ? 2 * values.count : nil))
      guard let written else { continue }
      for length in [written - 1, written, written + 1] {
        var decoded = values.map { $0 &* 3 }
        let valid = bytes[..<length].withUnsafeBytes { source in
          values.withUnsafeBufferPointer { addend in
            decoded.withUnsafeMutableBufferPointer {
              codec.decode(source, .short, adding: addend.baseAddress, into: $0)
            }
          }
        }
        #expect(valid == (length == written))
        if valid { #expect(decoded == values.map { $0 &* 2 }) }
      }
    }
    var longs = [Int64](repeating: 0, count: 2)
    var room = [UInt8](repeating: 0, count: 16)
    let shortened = longs.withUnsafeBufferPointer { source in
      room.withUnsafeMutableBytes { codec.shorten(source, into: $0) }
    }
    #expect(shortened == nil)
    let noLongs = [UInt8](repeating: 0, count: 8).withUnsafeBytes { source in
      longs.withUnsafeMutableBufferPointer { codec.decode(source, .short, into: $0) }
    }
    #expect(!noLongs)
  }

  @Test("random bytes never crash the decoder, nor do damaged encodings")
  func fuzz() {
    var random = Philox(seed: 2, .selfTest)
    let codec = ChunkCodec(capacity: 4096)
    let values = gaussian(3000, deviation: 20)
    var room = [UInt8](repeating: 0, count: 12_000)
    let compressed = values.withUnsafeBufferPointer { source in
      room.withUnsafeMutableBytes { codec.compress(source, into: $0) }
    }
    let written = compressed ?? 0
    #expect(written > 0)
    var rejected = 0
    for round in 0..<4000 {
      var bytes: [UInt8]
      if round % 2 == 0 {
        bytes = (0..<random.below(300)).map { _ in UInt8(random.below(256)) }
      } else {
        bytes = Array(room[..<written])
        for _ in 0...random.below(3) { bytes[random.below(written)] = UInt8(random.below(256)) }
        bytes.removeLast(random.below(4))
      }
      var decoded = [Int32](repeating: 0, count: 3000)
      let valid = bytes.withUnsafeBytes { source in
        decoded.withUnsafeMutableBufferPointer { codec.decode(source, .lz4, into: $0) }
      }
      if !valid { rejected += 1 }
    }
    #expect(rejected > 2000)
  }

  @Test("random bytes are no frame, and a changed bit in a frame is noticed")
  func frames() throws {
    var random = Philox(seed: 4, .selfTest)
    for _ in 0..<2000 {
      let bytes = (0..<random.below(200)).map { _ in UInt8(random.below(256)) }
      #expect(Frame.decode(FrameMessage([Data(bytes)])) == nil)
    }
    let frame = Frame(
      kind: .chunk, generation: 1, step: 1 << 40, attempt: 2, bucket: 3, hop: 4, chunk: 5, encoding: .lz4,
      valueCount: 6, sequence: 7)
    let sealed = [1, 2, 3].withUnsafeBytes { frame.bytes(payload: $0) }
    sealed.seal(sequence: 7)
    let bytes = sealed.array
    #expect(Frame.decode(FrameMessage([Data(bytes)])) == frame)
    #expect(Frame.decode(FrameMessage([Data(bytes[..<56]), Data(bytes[56...])])) == frame)
    #expect(Frame.decode(FrameMessage([Data(bytes[..<57]), Data(bytes[57...])])) == nil)
    for bit in 0..<8 * bytes.count {
      var damaged = bytes
      damaged[bit / 8] ^= 1 << (bit % 8)
      #expect(Frame.decode(FrameMessage([Data(damaged)])) == nil)
    }
    for length in 0..<bytes.count {
      #expect(Frame.decode(FrameMessage([Data(bytes[..<length])])) == nil)
    }
  }

  @Test("a ballot comes back as it was; any other bytes are refused")
  func ballots() throws {
    let ballot = Ballot(
      rank: 7, sumDigest: Digest128(high: 1, low: 2), weightsDigest: Digest128(high: 3, low: 4), scalesDigest: 5,
      partialChecksum: .max, sumChecksum: 6, trainedClips: Digest128(high: 10, low: 11),
      expectedClips: Digest128(high: 12, low: 13), lanes: LaneSet([0, 64, 130]), directive: 9,
      raised: [RaisedExponent(tensor: 1, exponent: -30), RaisedExponent(tensor: 2, exponent: 4)],
      nonFinite: [NonFiniteGradient(tensor: .max, lane: 3)])
    let bytes = ballot.encoded()
    #expect(try Ballot(decoding: bytes) == ballot)
    for length in 0..<bytes.count {
      #expect(throws: RingError.self) { try Ballot(decoding: bytes[..<length]) }
    }
    #expect(throws: RingError.self) { try Ballot(decoding: bytes + [0]) }
    var random = Philox(seed: 5, .selfTest)
    for _ in 0..<2000 {
      var damaged = bytes
      for _ in 0...random.below(8) { damaged[random.below(damaged.count)] = UInt8(random.below(256)) }
      _ = try? Ballot(decoding: damaged)
    }
  }
}
