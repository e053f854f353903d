// Disks that are full, read-only or forbidden, for real: what was there stays, the error says why, later saves work.
import Foundation
import Shared
import TestSupport
import Testing

@testable import Checkpoint

@Suite struct DiskFailureTests {
  static let isRoot = geteuid() == 0

  @Test(
    "a full disk is reported, leaves no temporary directory and the older checkpoint valid; with room, saving works",
    .enabled(if: SmallDisk.isPermitted, "needs root, to mount a small tmpfs"), arguments: [0, 4096, 8192, 20000])
  func diskFull(room: Int) throws {
    let disk = try SmallDisk(kilobytes: 256)
    let directory = "\(disk.path)/checkpoints"
    let store = try CheckpointStore(directory, access: .writing)
    try store.write(1, files(1, step: 1))
    try disk.fill(except: room)
    for _ in 0..<3 {
      let error = #expect(throws: CheckpointError.self) { try store.write(2, files(2, step: 2, size: 100_000)) }
      #expect(error?.code == ENOSPC)
      #expect(error?.status == .ioError)
      #expect(error?.description.contains("free some space") == true)
      #expect(try Directory.names(directory) == ["step-00000001"])
      #expect(try store.newestValid().newest?.step == 1)
    }
    try disk.free()
    try store.write(2, files(2, step: 2, size: 100_000))
    #expect(try store.newestValid().newest?.step == 2)
    #expect(try store.prune(keep: 1) == [1])
  }

  @Test(
    "a checkpoint that grows past a disk that was not full before is reported as well",
    .enabled(if: SmallDisk.isPermitted, "needs root, to mount a small tmpfs"))
  func tooLarge() throws {
    let disk = try SmallDisk(kilobytes: 256)
    let store = try CheckpointStore(disk.path, access: .writing)
    // The kernel takes part of the bytes of one write, and fails the next.
    let error = #expect(throws: CheckpointError.self) { try store.write(2, files(2, step: 2, size: 1 << 20)) }
    #expect(error?.code == ENOSPC)
    #expect(try Directory.names(disk.path).isEmpty)
  }

  @Test(
    "a file system that becomes read-only is reported with the path, can be read, and works again when it is writable",
    .enabled(if: SmallDisk.isPermitted, "needs root, to mount a small tmpfs"))
  func readOnly() throws {
    let disk = try SmallDisk(kilobytes: 256)
    let store = try CheckpointStore(disk.path, access: .writing)
    try store.write(1, files(1, step: 1))
    try disk.remount(readOnly: true)
    let error = #expect(throws: CheckpointError.self) { try store.write(2, files(2, step: 2)) }
    #expect(error?.code == EROFS)
    #expect(error?.operation == "mkdir")
    #expect(error?.description.hasPrefix(disk.path) == true)
    #expect(error?.description.contains("remount it") == true)
    #expect(try CheckpointStore(disk.path, access: .reading).newestValid().newest?.step == 1)
    #expect(throws: CheckpointError.self) { try CheckpointStore("\(disk.path)/new", access: .writing) }
    try disk.remount(readOnly: false)
    try store.write(2, files(2, step: 2))
    #expect(try store.newestValid().newest?.step == 2)
  }

  @Test("a directory without write permission is reported", .enabled(if: !isRoot, "root may write anywhere"))
  func permission() throws {
    let directory = try TemporaryDirectory()
    try FileManager.default.setAttributes([.posixPermissions: 0o500], ofItemAtPath: directory.path)
    let error = #expect(throws: CheckpointError.self) {
      try CheckpointStore(directory.path, access: .writing).write(1, files(1, step: 1))
    }
    #expect(error?.code == EACCES)
  }
}
