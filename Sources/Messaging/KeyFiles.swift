// A folder of keys, for workers that the coordinator does not start: `coordinator keygen DIR` makes it, files carry it.
import CSodium
import Foundation
import Glibc
import Shared
import Wire

/// What the folder holds: the coordinator needs `coordinator.secret` and `workers.secret`, a worker `coordinator.public` and
/// `workers.secret`. Keys are 64 hexadecimal digits.
public struct KeyFiles {
  static let coordinatorSecret = "coordinator.secret"
  static let coordinatorPublic = "coordinator.public"
  static let workersSecret = "workers.secret"

  public let folder: String

  public init(_ folder: String) { self.folder = folder }

  /// Whether the folder holds a coordinator's keys.
  public var exist: Bool { unsafe access(path(Self.coordinatorSecret), F_OK) == 0 }

  /// Makes the folder (0700) and new keys (0600).
  /// - Throws: `SharedError(.ioError)`; `.usage` if it holds keys already: others may have copies of them.
  public func make() throws {
    guard !exist else {
      throw SharedError(.usage, "\(folder): holds keys already; remove them to make new ones, or name another folder")
    }
    guard unsafe mkdir(folder, 0o700) == 0 || errno == EEXIST else { throw failure(folder, "cannot be made", errno) }
    let coordinator = KeyPair()
    try write(Self.workersSecret, KeyPair().secretKey.text)
    try write(Self.coordinatorPublic, coordinator.publicKey.description)
    try write(Self.coordinatorSecret, coordinator.secretKey.text)
  }

  /// Removes the keys, and the folder if nothing else is there.
  public func remove() {
    for name in [Self.coordinatorSecret, Self.coordinatorPublic, Self.workersSecret] { unsafe unlink(path(name)) }
    unsafe rmdir(folder)
  }

  /// The coordinator's pair.
  /// - Throws: `SharedError(.ioError)` if the file is not there, `.badConfiguration` if others may read it or it holds no
  ///   key.
  public func coordinator() throws -> KeyPair { KeyPair(try secret(Self.coordinatorSecret)) }

  /// The pair of a rank's workers.
  public func worker(rank: Int) throws -> KeyPair {
    KeyPair.derived(from: try secret(Self.workersSecret), rank: rank)
  }

  /// By which workers know the coordinator.
  public func coordinatorKey() throws -> PublicKey {
    let path = path(Self.coordinatorPublic)
    guard let key = PublicKey(try text(path, isSecret: false)) else { throw noKey(path) }
    return key
  }

  private func path(_ name: String) -> String { folder + "/" + name }

  private func secret(_ name: String) throws -> SecretKey {
    guard let key = SecretKey(try text(path(name), isSecret: true)) else { throw noKey(path(name)) }
    return key
  }

  private func noKey(_ path: String) -> SharedError {
    SharedError(.badConfiguration, "\(path): holds no key; `coordinator keygen` makes a folder of new ones")
  }

  private func failure(_ path: String, _ what: String, _ code: Int32) -> SharedError {
    SharedError(.ioError, "\(path): \(what) (\(unsafe String(cString: strerror(code))))")
  }

  /// - Throws: `SharedError(.badConfiguration)` for a secret that others than its owner may read, or that belongs to
  ///   somebody else. Root's files may be readable by a group: Kubernetes mounts Secrets so.
  private func text(_ path: String, isSecret: Bool) throws -> String {
    let file = unsafe open(path, O_RDONLY | O_CLOEXEC)
    guard file >= 0 else {
      let reason = unsafe String(cString: strerror(errno))
      throw SharedError(.ioError, "\(path): cannot be read (\(reason)); `coordinator keygen` makes a folder of keys")
    }
    defer { close(file) }
    var status = stat()
    guard unsafe fstat(file, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { throw noKey(path) }
    if isSecret {
      guard status.st_uid == geteuid() || status.st_uid == 0 else {
        throw SharedError(.badConfiguration, "\(path): belongs to another user, who could know the key; make your own")
      }
      guard status.st_mode & (status.st_uid == 0 ? 0o007 : 0o077) == 0 else {
        throw SharedError(.badConfiguration, "\(path): others may read this key; chmod 600 it")
      }
    }
    var bytes = [UInt8](repeating: 0, count: 256)
    defer { unsafe sodium_memzero(&bytes, bytes.count) }
    let count = unsafe read(file, &bytes, bytes.count)
    guard count >= 0 else { throw failure(path, "cannot be read", errno) }
    return String(decoding: bytes.prefix(count), as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
  }

  private func write(_ name: String, _ key: String) throws {
    let path = path(name)
    let file = unsafe open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0o600)
    guard file >= 0 else { throw failure(path, "cannot be written", errno) }
    defer { close(file) }
    guard fchmod(file, 0o600) == 0 else { throw failure(path, "its rights cannot be set", errno) }
    let line = Array("\(key)\n".utf8)
    let code = unsafe line.withUnsafeBytes { unsafe writeAll($0, to: file) }
    guard code == 0, fsync(file) == 0 else { throw failure(path, "cannot be written", code == 0 ? errno : code) }
  }
}
