import Foundation
import Shared
import Testing

@testable import Dataset

@Suite struct ProbedFilesTests {
  private final class Folder {
    let path = NSTemporaryDirectory() + "/probed-\(UInt64.random(in: 0 ... .max))"
    init() throws { try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true) }
    deinit { try? FileManager.default.removeItem(atPath: path) }
  }

  private let stamp = FileStamp(bytes: 9, modified: -5, changed: 7)

  private var usable: ProbedPart {
    ProbedPart(
      stamp: stamp, isDeep: true, outcome: .usable,
      clip: ClipEntry(
        id: "", path: "", labels: [0], bytes: 9, hash: Digest128(high: 3, low: 4), first: 2, frames: 5, isProved: true,
        width: 3, height: 4, frameRate: 25, codec: "vp9"))
  }

  private var rejected: ProbedPart {
    .rejected("no é moov\n", hash: Digest128(high: 1, low: 2), stamp: stamp, isDeep: false)
  }

  @Test("what was found in files comes back, unless the rules changed or the file is damaged")
  func roundTrip() throws {
    let folder = try Folder()
    let (path, part) = (folder.path + "/train.files", folder.path + "/train.part")
    let writer = try ProbedFiles.Writer(rules: "r 1", keeping: part)
    try writer.add("b\n\n", usable)
    try writer.add("a\n\n1-2", rejected)
    try writer.add("b\n\n", rejected)
    try writer.finish(at: path)
    let read = try ProbedFiles(path, rules: "r 1")
    #expect(read.count == 2 && read.part("b\n\n") == usable && read.part("a\n\n1-2") == rejected)
    #expect(read.part("a") == nil)
    #expect(throws: DatasetError.self) { try ProbedFiles(path, rules: "r 2") }
    var bytes = try Data(contentsOf: URL(fileURLWithPath: path))
    bytes[50] ^= 1
    try bytes.write(to: URL(fileURLWithPath: path))
    #expect(throws: DatasetError.self) { try ProbedFiles(path, rules: "r 1") }
  }

  @Test("what a killed process had found is found again, up to where its file was cut or damaged")
  func recovery() throws {
    let folder = try Folder()
    let (kept, part) = (folder.path + "/kept", folder.path + "/part")
    let writer = try ProbedFiles.Writer(rules: "r", keeping: part)
    for number in 0..<600 { try writer.add("\(number)", usable) }
    // Not finished. Of the last ones some are in memory yet.
    let bytes = try Data(contentsOf: URL(fileURLWithPath: part))
    try ProbedFiles.recover(part, into: kept, folder: folder.path, rules: "r")
    let found = try ProbedFiles(kept, rules: "r")
    #expect(found.count == 512 && found.part("300") == usable)
    #expect(!FileManager.default.fileExists(atPath: part))
    // A later one adds to that; what is cut off or altered is not believed.
    let later = try ProbedFiles.Writer(rules: "r", keeping: part)
    for number in 600..<856 { try later.add("\(number)", rejected) }
    var damaged = try Data(contentsOf: URL(fileURLWithPath: part))
    let row = damaged.count / 256
    damaged[10 * row + 20] ^= 1
    try damaged.write(to: URL(fileURLWithPath: part))
    try ProbedFiles.recover(part, into: kept, folder: folder.path, rules: "r")
    let both = try ProbedFiles(kept, rules: "r")
    #expect(both.count == 522 && both.part("609") == rejected && both.part("610") == nil)
    for length in stride(from: 0, to: 3 * row, by: 7) {
      try bytes.prefix(length).write(to: URL(fileURLWithPath: part))
      try ProbedFiles.recover(part, into: folder.path + "/few", folder: folder.path, rules: "r")
    }
    try ProbedFiles.recover(part, into: kept, folder: folder.path, rules: "r")
  }

  @Test("a file of the same size and time is not probed again, a rejected one only if nothing of it changed")
  func holds() {
    var other = stamp
    #expect(usable.holds(for: stamp, deep: true) && rejected.holds(for: stamp, deep: false))
    #expect(!rejected.holds(for: stamp, deep: true))
    other.changed += 1
    #expect(usable.holds(for: other, deep: false) && !rejected.holds(for: other, deep: false))
    for change in [{ $0.bytes += 1 }, { $0.modified += 1 }] as [(inout FileStamp) -> Void] {
      other = stamp
      change(&other)
      #expect(!usable.holds(for: other, deep: false) && !rejected.holds(for: other, deep: false))
    }
  }

  @Test("the stamp of a folder changes with any of its files")
  func stamps() throws {
    let folder = try Folder()
    func write(_ text: String, _ name: String) throws {
      try text.write(toFile: "\(folder.path)/\(name)", atomically: false, encoding: .utf8)
    }
    #expect(FileStamp(of: folder.path + "/none") == nil)
    try write("12", "a.jpg")
    try write("345", "b.jpg")
    let before = try #require(FileStamp(of: folder.path))
    #expect(before.bytes == 5 && FileStamp(of: folder.path) == before)
    try write("1234", "a.jpg")
    #expect(FileStamp(of: folder.path) != before)
    #expect(FileStamp(of: folder.path + "/b.jpg")?.bytes == 3)
  }
}
