import Shared
import Testing

@Suite struct HexadecimalTests {
  @Test("bytes become two lower-case digits each, and only such digits become bytes")
  func digits() {
    #expect(hexadecimal([0, 10, 255]) == "000aff")
    #expect(hexadecimalBytes("000aff") == [0, 10, 255])
    #expect(hexadecimalBytes("") == [])
    for text in ["0", "000", "0A", "+1", "0x", "g0", " 1", "é"] { #expect(hexadecimalBytes(text) == nil, "\(text)") }
  }
}
