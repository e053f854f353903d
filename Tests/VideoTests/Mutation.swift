// Damages a file in one of the ways in which files are damaged, drawn by a seed.
import Foundation
import Shared

/// One way to damage a file.
enum Mutation: CaseIterable {
  case bits, bytes, cut, zeros, sizes, keyTables, configuration, times, blocks, copies

  /// A copy of `bytes` with this damage.
  /// - Parameter other: another file, to take parts from.
  func applied(to bytes: Data, from other: Data, _ generator: inout Philox) -> Data {
    var copy = [UInt8](bytes)
    guard copy.count > 64 else { return bytes }
    func place() -> Int { generator.below(copy.count) }
    switch self {
    case .bits: for _ in 0..<1 + generator.below(12) { copy[place()] ^= 1 << UInt8(generator.below(8)) }
    case .bytes: for _ in 0..<1 + generator.below(40) { copy[place()] = UInt8(generator.below(256)) }
    case .cut: copy.removeLast(1 + generator.below(copy.count - 1))
    case .zeros:
      let start = place()
      for i in start..<min(copy.count, start + 1 + generator.below(4000)) { copy[i] = 0 }
    case .sizes:
      let names = [
        "moov", "trak", "mdia", "stbl", "stsz", "stts", "ctts", "stsc", "stco", "elst", "mdat", "moof", "trun",
      ]
      if let found = Mutation.pick(names, in: copy, &generator), found >= 4 {
        for i in found - 4..<found where generator.below(2) == 0 { copy[i] = UInt8(generator.below(256)) }
      } else if let found = Mutation.pick(["RIFF", "LIST", "idx1", "strf", "strh", "00dc"], in: copy, &generator) {
        copy[min(copy.count - 1, found + 4 + generator.below(4))] = UInt8(generator.below(256))
      } else {
        // The sizes of Matroska's elements are behind their names, in the file's head for the most part.
        for _ in 0..<3 { copy[generator.below(min(copy.count, 600))] = UInt8(generator.below(256)) }
      }
    case .keyTables:
      if let found = Mutation.pick(["stss", "sdtp", "sgpd"], in: copy, &generator) {
        copy.replaceSubrange(found..<found + 4, with: Array("free".utf8))
      } else if let found = Mutation.pick(["idx1"], in: copy, &generator) {
        copy.replaceSubrange(found..<found + 4, with: Array("JUNK".utf8))
      } else {
        // SimpleBlock: name a3, size, track 81, time of two bytes, flags, of which the first bit says "key".
        for i in 0..<copy.count - 10 where copy[i] == 0xa3 && copy[i + 1] & 0xf0 != 0 && copy[i + 4] == 0x81 {
          copy[i + 7] |= 0x80
        }
      }
    case .configuration:
      let names = ["avcC", "hvcC", "esds", "stsd", "vpcC", "av1C", "strf"]
      if let found = Mutation.pick(names, in: copy, &generator) {
        let source = [UInt8](other)
        let length = 8 + generator.below(40)
        if generator.below(2) == 0, let theirs = Mutation.pick(names, in: source, &generator),
          found + length < copy.count, theirs + length < source.count
        {
          copy.replaceSubrange(found..<found + length, with: source[theirs..<theirs + length])
        } else {
          for _ in 0..<1 + generator.below(3) {
            copy[min(copy.count - 1, found + 4 + generator.below(60))] ^= UInt8(1 + generator.below(255))
          }
        }
      } else {
        for _ in 0..<4 { copy[generator.below(min(copy.count, 1200))] ^= UInt8(1 + generator.below(255)) }
      }
    case .times:
      if let found = Mutation.pick(["stts", "ctts", "elst", "mdhd", "tfdt", "trun"], in: copy, &generator) {
        for _ in 0..<1 + generator.below(6) {
          copy[min(copy.count - 1, found + 8 + generator.below(120))] = UInt8(generator.below(256))
        }
      } else {
        for _ in 0..<8 { copy[place()] ^= 0x80 }
      }
    case .blocks:
      let length = min(copy.count / 3, 16 + generator.below(3000))
      let (a, b) = (generator.below(copy.count - length), generator.below(copy.count - length))
      for i in 0..<length { copy.swapAt(a + i, b + i) }
    case .copies:
      let length = min(copy.count / 3, 16 + generator.below(3000))
      let (a, b) = (generator.below(copy.count - length), generator.below(copy.count - length))
      copy.replaceSubrange(b..<b + length, with: Array(copy[a..<a + length]))
    }
    return Data(copy)
  }

  /// The place of one of these names, drawn among all that are there.
  private static func pick(_ names: [String], in bytes: [UInt8], _ generator: inout Philox) -> Int? {
    let wanted = Set(names.map { Array($0.utf8) })
    let first = Set(wanted.compactMap(\.first))
    var places: [Int] = []
    for i in 0..<max(0, bytes.count - 4) where first.contains(bytes[i]) && wanted.contains(Array(bytes[i..<i + 4])) {
      places.append(i)
    }
    return places.isEmpty ? nil : places[generator.below(places.count)]
  }
}
