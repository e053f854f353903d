// Files on the web, for whoever reads clips and lists: the one place in which an address becomes a file of this host.
import Foundation
import Glibc
import Shared
import Synchronization

/// Reads files over HTTP, through the cache of this host. Any number of threads may share one.
public final class RemoteFiles: Sendable {
  private struct Known {
    /// What the server said of each file, asked once.
    var facts: [String: FileFacts] = [:]
    /// What a file must be, from a pack's list.
    var expected: [String: ExpectedFile] = [:]
    /// Servers that send whole files only.
    var withoutRanges: Set<String> = []
    /// When each server was last tried in vain.
    var away: [String: ContinuousClock.Instant] = [:]
    /// Files to be downloaded while clips are read, and what has become of those before.
    var waiting: [String] = []
    var tried: [String: ContinuousClock.Instant?] = [:]
    var isDownloading = false
  }

  private let cache: ShardCache
  private let client: HTTPClient
  private let patience: Patience
  private let known = Mutex(Known())
  /// Seconds since 1970.
  private let start = Date.now.timeIntervalSince1970

  /// - Parameters:
  ///   - folder: the cache's; nil for the user's.
  ///   - bytes: what it may hold.
  public convenience init(folder: String? = nil, bytes: Int, patience: Patience) {
    self.init(folder: folder ?? Self.userFolder, bytes: UInt64(clamping: bytes), patience, HTTPLimits())
  }

  init(folder: String, bytes: UInt64, _ patience: Patience, _ limits: HTTPLimits) {
    cache = ShardCache(folder: folder, bound: bytes)
    client = HTTPClient(limits)
    self.patience = patience
  }

  /// `TAMRING_CACHE`, or `tamring` in the folder of the user's caches.
  private static var userFolder: String {
    let environment = ProcessInfo.processInfo.environment
    func given(_ name: String) -> String? { environment[name].flatMap { $0.isEmpty ? nil : $0 } }
    return given("TAMRING_CACHE")
      ?? (given("XDG_CACHE_HOME") ?? given("HOME").map { "\($0)/.cache" } ?? NSTemporaryDirectory()) + "/tamring"
  }

  /// Says what a file must be.
  public func expect(_ file: ExpectedFile, at address: String) {
    known.withLock { $0.expected[address] = file }
  }

  // MARK: Lists and probing

  /// What the server says of a file. It is asked once.
  /// - Parameter patience: nil for the usual one.
  /// - Throws: `RemoteError`.
  public func facts(_ address: String, patience: Patience? = nil) throws(RemoteError) -> FileFacts {
    if let known = known.withLock({ $0.facts[address] }) { return known }
    let found = try (patience ?? self.patience).attempt { () throws(RemoteError) in
      var found: FileFacts?
      do throws(RemoteError) {
        // Addresses that were signed for GET refuse HEAD.
        try client.get(
          address, 0..<1,
          unsafe HTTPClient.Sink { response throws(RemoteError) in
            found = response.fileLength.map { FileFacts(bytes: $0, validator: response.validator) }
            // The rest of a whole file is not wanted.
            guard response.status != 206 else { return }
            throw RemoteError(
              .refused, address, "the server does not say how long the file is", "serve it as a plain file")
          } take: { _ throws(RemoteError) in
          })
      } catch { if found == nil, error.httpStatus != 416 { throw error } }
      return found ?? FileFacts(bytes: 0, validator: "")
    }
    known.withLock { $0.facts[address] = found }
    return found
  }

  /// The whole of a small file, such as a list.
  /// - Throws: `RemoteError`; also if it has more than `limit` bytes.
  public func document(_ address: String, limit: Int) throws(RemoteError) -> Data {
    try patience.attempt { () throws(RemoteError) in
      var data = Data()
      try client.get(
        address, nil,
        unsafe HTTPClient.Sink { response throws(RemoteError) in
          guard response.status == 200 else {
            throw RemoteError(.passing, address, "the server answers \(response.status) instead of 200")
          }
          guard response.length != nil || response.isChunked else {
            throw RemoteError(
              .refused, address, "the server does not say how long the file is", "serve it as a plain file")
          }
        } take: { bytes throws(RemoteError) in
          guard data.count + bytes.count <= limit else {
            throw RemoteError(
              .refused, address, "it has more than \(limit) bytes", "shards must be named .tar, and lists be shorter")
          }
          unsafe data.append(contentsOf: bytes)
        })
      return data
    }
  }

  /// A whole file, as the server has it now. It is downloaded unless the cache has it.
  /// - Parameter patience: nil for the usual one.
  /// - Throws: `RemoteError`.
  public func whole(_ address: String, patience: Patience? = nil) throws(RemoteError) -> LocalFile {
    let isNew = known.withLock { $0.facts[address] == nil }
    let facts = try facts(address, patience: patience)
    if isNew { dropUnless(facts, address) }
    return try whole(address, patience ?? self.patience, progress: {})
  }

  /// Removes a cached file that the server has another of.
  private func dropUnless(_ facts: FileFacts, _ address: String) {
    let entry = cache.entry(address)
    guard let held = entry.held(), let path = held.identity else { return }
    if facts.validator.isEmpty || entry.facts(of: path) != facts { discard(held) }
  }

  private func whole(
    _ address: String, _ patience: Patience, progress: () -> Void
  ) throws(RemoteError) -> LocalFile {
    guard let file = try download(address, .idle, patience, waits: true, progress) else {
      throw RemoteError(.passing, address, "the cache \(cache.folder) gave it up at once", "raise data.cache_bytes")
    }
    return file
  }

  /// - Parameter waits: whether to wait for another process that downloads the file.
  private func download(
    _ address: String, _ room: ShardCache.Room, _ patience: Patience, waits: Bool, _ progress: () -> Void
  ) throws(RemoteError) -> LocalFile? {
    let entry = cache.entry(address)
    if let held = entry.held() { return held }
    try cache.make(entry)
    let watch = FolderWatch(entry.folder)
    while true {
      if let lock = try FileLock(tryingFor: entry.lock) {
        defer { withExtendedLifetime(lock) {} }
        if let held = entry.held() { return held }
        let expected = known.withLock { $0.expected[address] }
        let isHere = try withoutActuallyEscaping(progress) { (progress) throws(RemoteError) in
          try ShardDownload(
            address: address, entry: entry, cache: cache, client: client, room: room, expected: expected,
            progress: progress
          ).run(patience)
        }
        return isHere ? entry.held() : nil
      }
      guard waits else { return nil }
      // A download that stands still is no progress of ours.
      if watch.wait(atMost: .seconds(1)) { progress() }
    }
  }

  /// Whether the cache has a whole file.
  func isCached(_ address: String) -> Bool { cache.entry(address).names.contains(where: Entry.isData) }

  // MARK: Clips

  /// The file of a clip. What the cache does not have is read from the server for once: a part of a shard alone, while
  /// the whole shard is downloaded in the background if the cache has room for it.
  /// - Parameters:
  ///   - range: the bytes of a shard that are the clip's file; nil for all.
  ///   - progress: called whenever anything arrives.
  /// - Returns: a file, and the range in it.
  /// - Throws: `RemoteError`.
  public func clip(
    _ address: String, _ range: Range<UInt64>?, progress: () -> Void
  ) throws(RemoteError) -> (file: LocalFile, range: Range<UInt64>?) {
    if let held = cache.held(address) { return (held, range) }
    let server = Self.server(address)
    do throws(RemoteError) {
      let result = try clip(address, range, server, isAway(server) ? .none : patience, progress)
      known.withLock { $0.away[server] = nil }
      return result
    } catch {
      if error.isPassing { known.withLock { $0.away[server] = .now } }
      throw error
    }
  }

  /// Whether a server was tried in vain a moment ago: each of the next clips tries it once.
  private func isAway(_ server: String) -> Bool {
    known.withLock { $0.away[server].map { ContinuousClock.now - $0 < Self.pause } ?? false }
  }

  private func clip(
    _ address: String, _ range: Range<UInt64>?, _ server: String, _ patience: Patience, _ progress: () -> Void
  ) throws(RemoteError) -> (file: LocalFile, range: Range<UInt64>?) {
    guard let range, !range.isEmpty, !known.withLock({ $0.withoutRanges.contains(server) }) else {
      return (try whole(address, patience, progress: progress), range)
    }
    downloadInBackground(address)
    do throws(RemoteError) { return (try bytes(address, range, patience, progress), nil) } catch {
      guard error.hasNoRanges else { throw error }
      known.withLock { _ = $0.withoutRanges.insert(server) }
      return (try whole(address, patience, progress: progress), range)
    }
  }

  /// Removes a cached file whose contents are not those that were wanted: the next read asks the server.
  public func discard(_ file: LocalFile) {
    guard let path = file.identity else { return }
    unsafe unlink(path)
    unsafe unlink("\(path).facts")
  }

  /// `https://host`.
  private static func server(_ address: String) -> String {
    address.split(separator: "/", maxSplits: 3, omittingEmptySubsequences: false).prefix(3).joined(separator: "/")
  }

  private func bytes(
    _ address: String, _ range: Range<UInt64>, _ patience: Patience, _ progress: () -> Void
  ) throws(RemoteError) -> LocalFile {
    try cache.make(cache.entry(address))
    let descriptor = openNamelessFile(in: cache.folder)
    guard descriptor >= 0 else { throw RemoteError.cache(cache.folder, errno) }
    let file = LocalFile(descriptor)
    var done: UInt64 = 0
    var validator = ""
    try withoutActuallyEscaping(progress) { (progress) throws(RemoteError) in
      try patience.attempt(gained: { done }) { () throws(RemoteError) in
        // Without a tag, two halves may be of two files.
        if validator.isEmpty { (done, _) = (0, ftruncate(descriptor, 0)) }
        lseek(descriptor, off_t(clamping: done), SEEK_SET)
        let rest = (range.lowerBound + done)..<range.upperBound
        try client.get(
          address, rest, ifRange: done > 0 ? validator : "",
          unsafe HTTPClient.Sink { response throws(RemoteError) in
            guard response.status == 206, response.range == rest else {
              if response.status == 200, done == 0 { throw RemoteError.withoutRanges(address) }
              (validator, done) = ("", 0)
              throw RemoteError(.passing, address, "the server sends other bytes than those that it was asked for")
            }
            validator = response.validator
          } take: { bytes throws(RemoteError) in
            guard done &+ UInt64(bytes.count) <= UInt64(range.count) else {
              throw RemoteError(.passing, address, "the server sends more than it was asked for")
            }
            let code = unsafe writeAll(bytes, to: descriptor)
            guard code == 0 else { throw RemoteError.cache(self.cache.folder, code) }
            done += UInt64(bytes.count)
            progress()
          })
        guard done == UInt64(range.count) else {
          throw RemoteError(.passing, address, "only \(done) of \(range.count) bytes arrived")
        }
      }
    }
    return file
  }

  // MARK: In the background

  /// Until a file or a server that failed is tried again as patiently as before.
  private static let pause = Duration.seconds(10)

  private func downloadInBackground(_ address: String) {
    let starts = known.withLock { known in
      if let tried = known.tried[address] {
        guard let tried, ContinuousClock.now - tried > Self.pause else { return false }
      }
      known.tried[address] = .some(nil)
      known.waiting.append(address)
      defer { known.isDownloading = true }
      return !known.isDownloading
    }
    if starts { startThread(named: "download") { [self] in downloadAll() } }
  }

  private func downloadAll() {
    while true {
      let next = known.withLock { known -> String? in
        known.isDownloading = !known.waiting.isEmpty
        return known.waiting.isEmpty ? nil : known.waiting.removeFirst()
      }
      guard let next else { return }
      // Where this fails, clips say so: each of them asks the server itself.
      let result = Result { try download(next, .unusedSince(start), patience, waits: false, {}) }
      // Without room there will be none later: nothing that was used since the start gives way.
      if case .success(nil) = result { continue }
      known.withLock { $0.tried[next] = .some(.now) }
    }
  }
}
