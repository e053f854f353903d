// A disk of a test's own that can be filled and made read-only: a small tmpfs.
import Foundation

public final class SmallDisk {
  /// Mounting needs root, and some containers' root may not.
  public static let isPermitted = { geteuid() == 0 && (try? SmallDisk(kilobytes: 64)) != nil }()

  public let path: String
  private let folder: TemporaryFolder

  public init(kilobytes: Int) throws {
    folder = try TemporaryFolder()
    path = folder.url.path
    try Self.run("/bin/mount", ["-t", "tmpfs", "-o", "size=\(kilobytes)k", "tmpfs", path])
  }

  deinit { try? Self.run("/bin/umount", ["-l", path]) }

  public func remount(readOnly: Bool) throws {
    try Self.run("/bin/mount", ["-o", "remount,\(readOnly ? "ro" : "rw")", path])
  }

  /// Takes the whole room but for `bytes`.
  public func fill(except bytes: Int = 0) throws {
    let descriptor = open("\(path)/filler", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
    defer { close(descriptor) }
    let page = [UInt8](repeating: 0, count: 4096)
    while write(descriptor, page, page.count) > 0 {}
    guard errno == ENOSPC else { throw POSIXError(POSIXErrorCode(rawValue: errno) ?? .EIO) }
    guard ftruncate(descriptor, max(0, lseek(descriptor, 0, SEEK_END) - bytes)) == 0 else { throw POSIXError(.EIO) }
  }

  public func free() throws { try FileManager.default.removeItem(atPath: "\(path)/filler") }

  private static func run(_ program: String, _ arguments: [String]) throws {
    guard try RunningProcess(program, arguments).finish().status == 0 else { throw POSIXError(.EPERM) }
  }
}
