// Members of a tar archive as every program reads them: ustar, with a pax header where a name needs one. And the names
// of a clip's members, by WebDataset's rule that a sample's key ends at the first dot.
import Foundation

enum TarMembers {
  static let block = 512
  /// What ends an archive.
  static let end = Data(count: 2 * block)
  /// The largest member that a ustar header can hold.
  static let mostBytes = 8 << 30 - 1

  /// What stands before a member's bytes. Equal names and sizes give equal headers: no times, no owners.
  ///
  /// **Source:** POSIX.1-2017, pax.
  static func header(_ name: String, size: Int) -> Data {
    let isPlain = name.utf8.count <= 100 && name.utf8.allSatisfy { $0 < 128 }
    if isPlain { return header(name, size: size, type: "0") }
    // Its length counts its own digits.
    let rest = " path=\(name)\n".utf8.count
    var length = rest + 1
    while String(length).utf8.count + rest != length { length = String(length).utf8.count + rest }
    let record = Data("\(length) path=\(name)\n".utf8)
    return header("PaxHeader", size: record.count, type: "x") + record + padding(record.count)
      + header(
        String(decoding: name.utf8.map { $0 < 128 ? $0 : UInt8(ascii: "_") }.prefix(100), as: UTF8.self), size: size,
        type: "0")
  }

  /// What follows a member's bytes.
  static func padding(_ size: Int) -> Data { Data(count: (block - size % block) % block) }

  private static func header(_ name: String, size: Int, type: Character) -> Data {
    var header = [UInt8](repeating: 0, count: block)
    func put(_ text: String, at start: Int) {
      for (place, byte) in text.utf8.enumerated() { header[start + place] = byte }
    }
    func octal(_ number: Int, digits: Int) -> String {
      let text = String(number, radix: 8)
      return String(repeating: "0", count: max(0, digits - text.utf8.count)) + text
    }
    put(name, at: 0)
    put("0000644", at: 100)
    put("0000000", at: 108)
    put("0000000", at: 116)
    put(octal(size, digits: 11), at: 124)
    put("00000000000", at: 136)
    put("        ", at: 148)
    put(String(type), at: 156)
    put("ustar", at: 257)
    put("00", at: 263)
    put(octal(header.reduce(0) { $0 + Int($1) }, digits: 6) + "\0 ", at: 148)
    return Data(header)
  }

  /// A clip's id as the key of its members. Ids that differ have keys that differ.
  ///
  /// A slash stays one, unless it would make an absolute path or an empty name. A dot, which would end the key, a
  /// percent sign, a backslash and control characters are written as URLs write them: `yoga/a%2Emp4`.
  static func key(_ id: String) -> String {
    let bytes = Array(id.utf8)
    var key: [UInt8] = []
    let digits = Array("0123456789ABCDEF".utf8)
    for (place, byte) in bytes.enumerated() {
      let isEdge = place == 0 || place == bytes.count - 1 || bytes[place - 1] == UInt8(ascii: "/")
      let isOdd = byte < 32 || byte == 127 || [UInt8(ascii: "."), UInt8(ascii: "%"), UInt8(ascii: "\\")].contains(byte)
      if isOdd || byte == UInt8(ascii: "/") && isEdge {
        key += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
      } else {
        key.append(byte)
      }
    }
    return String(decoding: key, as: UTF8.self)
  }
}
