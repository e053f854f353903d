// Brings a whole file into the cache: goes on where a download broke off, and never glues two files together.
import Foundation
import Glibc
import Shared

/// A download of one address into the cache. It belongs to one thread, which holds the entry's lock.
struct ShardDownload {
  let address: String
  let entry: Entry
  let cache: ShardCache
  let client: HTTPClient
  let room: ShardCache.Room
  /// What the file must be, if somebody said so before.
  var expected: ExpectedFile?
  let progress: () -> Void

  /// How long to wait for room where every file is being read.
  static let patienceForRoom = Duration.seconds(60)

  /// Why the cache does not take the file.
  private struct NoRoom: Error {}

  /// - Returns: false where the cache has no room for it.
  /// - Throws: `RemoteError`.
  func run(_ patience: Patience) throws(RemoteError) -> Bool {
    var gained: UInt64 = 0
    var hasRoom = true
    try patience.attempt(gained: { gained }) { () throws(RemoteError) in
      do throws(RemoteError) { try attempt(&gained, &hasRoom) } catch {
        if !hasRoom { return }
        // What is here is longer than the file: it is another one now.
        if error.httpStatus == 416 {
          entry.forgetPart()
          throw RemoteError(.passing, address, "the file has changed while it was read")
        }
        throw error
      }
    }
    guard hasRoom else { return false }
    try verify()
    try entry.finish()
    return true
  }

  private func attempt(_ gained: inout UInt64, _ hasRoom: inout Bool) throws(RemoteError) {
    let known = entry.partFacts.flatMap { $0.validator.isEmpty ? nil : $0 }
    var file = try known == nil ? nil : PartFile(entry)
    if let known, let file, file.size == known.bytes { return }
    let start = file?.size ?? 0
    let rest = known.flatMap { start > 0 && start < $0.bytes ? start..<$0.bytes : nil }
    // Both closures run inside `get`, one after the other.
    var (arrived, room) = (gained, true)
    defer { (gained, hasRoom) = (arrived, room) }
    var total: UInt64 = 0
    try client.get(
      address, rest, ifRange: rest == nil ? "" : known?.validator ?? "",
      unsafe HTTPClient.Sink { response throws(RemoteError) in
        if let rest, let known, response.status == 206 {
          total = known.bytes
          if response.range?.lowerBound == rest.lowerBound, response.total == total { return }
          entry.forgetPart()
          throw RemoteError(.passing, address, "the server sends other bytes than those that it was asked for")
        }
        let facts = try Self.facts(response, address)
        total = facts.bytes
        if let expected, expected.bytes != total {
          throw RemoteError(
            .refused, address, "it has \(total) bytes, and the pack's list says \(expected.bytes)",
            "copy the whole pack to the server again")
        }
        room = try reserve(facts)
        guard room else { throw RemoteError(.refused, address, "no room") }
        file = try PartFile(entry)
      } take: { bytes throws(RemoteError) in
        unsafe try file?.append(bytes, upTo: total, address)
        arrived &+= UInt64(bytes.count)
        progress()
      })
    guard let file, file.size == total else {
      throw RemoteError(.passing, address, "only \(file?.size ?? 0) of \(total) bytes arrived")
    }
    try file.sync()
  }

  /// - Throws: `RemoteError` for a response that is no whole file.
  private static func facts(_ response: HTTPResponse, _ address: String) throws(RemoteError) -> FileFacts {
    guard response.status == 200 else {
      throw RemoteError(.passing, address, "the server answers \(response.status) instead of 200")
    }
    guard let bytes = response.length else {
      throw RemoteError(.refused, address, "the server does not say how long the file is", "serve it as a plain file")
    }
    return FileFacts(bytes: bytes, validator: response.validator)
  }

  private func reserve(_ facts: FileFacts) throws(RemoteError) -> Bool {
    let start = ContinuousClock.now
    while true {
      let (isThere, busy) = try cache.reserve(facts, for: entry, room)
      if isThere { return true }
      guard case .idle = room else { return false }
      guard facts.bytes <= cache.bound else {
        throw RemoteError(
          .refused, address, "it has \(facts.bytes) bytes, and the cache may hold \(cache.bound)",
          "set data.cache_bytes in the recipe to more than the largest shard")
      }
      guard let busy, ContinuousClock.now - start < Self.patienceForRoom else {
        throw RemoteError(
          .passing, address, "all \(cache.bound) bytes of the cache \(cache.folder) are being read",
          "raise data.cache_bytes in the recipe")
      }
      if FolderWatch(busy).wait(atMost: .seconds(1)) { progress() }
    }
  }

  /// Compares what arrived with what the pack's list says.
  private func verify() throws(RemoteError) {
    guard let expected, !expected.sha256.isEmpty else { return }
    guard let handle = FileHandle(forReadingAtPath: entry.part) else { throw RemoteError.cache(entry.part, errno) }
    defer { try? handle.close() }
    var stream = SHA256Stream()
    do {
      while let block = try handle.read(upToCount: 1 << 20), !block.isEmpty {
        stream.update(block)
        progress()
      }
    } catch { throw RemoteError.cache(entry.part, EIO) }
    guard stream.finish() == expected.sha256 else {
      entry.forgetPart()
      throw RemoteError(
        .refused, address, "its SHA-256 is not the one in the pack's list", "copy the whole pack to the server again")
    }
  }
}

/// What a list says of a file before it is read.
public struct ExpectedFile: Hashable, Sendable {
  public var bytes: UInt64
  /// 64 hexadecimal digits; empty if unknown.
  public var sha256: String

  public init(bytes: UInt64, sha256: String) {
    self.bytes = bytes
    self.sha256 = sha256
  }
}

/// What has arrived of a download.
private final class PartFile {
  private let descriptor: Int32
  private(set) var size: UInt64
  private let path: String

  init(_ entry: Entry) throws(RemoteError) {
    path = entry.part
    descriptor = unsafe open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0o666)
    var facts = stat()
    guard descriptor >= 0, unsafe fstat(descriptor, &facts) == 0 else { throw RemoteError.cache(path, errno) }
    size = UInt64(clamping: facts.st_size)
  }

  deinit { if descriptor >= 0 { close(descriptor) } }

  func append(_ bytes: UnsafeRawBufferPointer, upTo total: UInt64, _ address: String) throws(RemoteError) {
    guard size &+ UInt64(bytes.count) <= total else {
      throw RemoteError(.passing, address, "the server sends more than the \(total) bytes that it promised")
    }
    let code = unsafe writeAll(bytes, to: descriptor)
    // A part of them may be there: the file's own length counts.
    guard code == 0 else { throw RemoteError.cache(path, code) }
    size += UInt64(bytes.count)
  }

  func sync() throws(RemoteError) {
    guard retried({ fdatasync(descriptor) }) == 0 else { throw RemoteError.cache(path, errno) }
  }
}
