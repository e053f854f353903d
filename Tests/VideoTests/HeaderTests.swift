// The readers of headers: NAL units and VP9 packets, also where they are cut or nonsense.
import Shared
import Testing

@testable import Video

@Suite struct HeaderTests {
  private func units(_ bytes: [UInt8], _ lengthBytes: Int?) -> (units: [[UInt8]], isBroken: Bool) {
    bytes.withUnsafeBufferPointer { buffer in
      var units = NALUnits(buffer, lengthBytes: lengthBytes)
      var found: [[UInt8]] = []
      while let unit = units.next() { found.append(Array(bytes[unit])) }
      return (found, units.isBroken)
    }
  }

  @Test("NAL units are found by their lengths, or between start codes")
  func nalUnits() {
    #expect(units([0, 2, 7, 8, 0, 0, 0, 1, 9], 2) == ([[7, 8], [9]], false))
    #expect(units([0, 0, 0, 3, 7, 8], 4) == ([[7, 8]], true))
    #expect(units([0xff, 0xff, 0xff, 0xff, 1], 4) == ([[1]], true))
    #expect(units([], 4) == ([], false) && units([0, 0], 4) == ([], false))
    #expect(units([0, 0, 0, 1, 7, 8, 0, 0, 1, 9], nil).units == [[7, 8], [9]])
    #expect(units([1, 2, 3], nil).units == [] && units([0, 0, 1], nil).units == [])
  }

  private func packet(_ bytes: [UInt8]) -> VP9Packet? { bytes.withUnsafeBufferPointer { VP9Packet($0) } }

  @Test("a VP9 packet's first frame says whether it is a key frame, and one of its frames is shown")
  func vp9() {
    // frame_marker 10, profile 00, show_existing_frame, frame_type, show_frame, error_resilient_mode.
    let (key, inter, hidden, repeated): (UInt8, UInt8, UInt8, UInt8) = (0x82, 0x86, 0x84, 0x88)
    #expect(packet([key, 0, 0]).map { $0.isKey && $0.isShown } == true)
    #expect(packet([inter, 0]).map { !$0.isKey && $0.isShown } == true)
    #expect(packet([hidden, 0]).map { !$0.isShown } == true)
    #expect(packet([repeated]).map { !$0.isKey && $0.isShown } == true)
    // A superframe of two frames, of 2 and 3 bytes, with sizes of one byte.
    #expect(packet([hidden, 0, inter, 0, 0, 0xc1, 2, 3, 0xc1]).map { !$0.isKey && $0.isShown } == true)
    #expect(packet([inter, 0, inter, 0, 0, 0xc1, 2, 3, 0xc1]).map { $0.isShown } == false)
    #expect(packet([hidden, 0, inter, 0, 0, 0xc1, 2, 9, 0xc1]) == nil)
    #expect(packet([]) == nil && packet([0x12]) == nil)
  }
}
