// The folder that holds whole files from the web: what is in it, and what makes room. `ShardDownload` fills it.
import Foundation
import Glibc
import Shared

/// A folder of bounded size that any number of processes share.
///
/// Each address has a folder of its own, named by its hash:
///
/// - `lock`: whoever downloads holds it.
/// - `part` and `part.facts`: what has arrived of a download, and of which file. `part.facts` reserves the room.
/// - `data-ID` and `data-ID.facts`: the whole file, under this name from the moment it is whole. Whoever reads it has a
///   shared lock on it. Its time is that of the last use.
///
/// `lock` in the cache's folder is held while room is made.
struct ShardCache: Sendable {
  let folder: String
  /// The most bytes that all files have together.
  let bound: UInt64

  /// What a file must give way to a new one.
  enum Room: Sendable {
    /// Whatever nobody reads at the moment.
    case idle
    /// What nobody has used since then, in seconds since 1970. Over the life of a process, no more is removed than the
    /// cache held when it began: files that are read at random never push out one another.
    case unusedSince(Double)
  }

  func entry(_ address: String) -> Entry { Entry(folder: "\(folder)/\(Digest128(of: Array(address.utf8)))") }

  /// The whole file of an address, if it is here.
  func held(_ address: String) -> LocalFile? { entry(address).held() }

  /// Makes the folders of an entry.
  func make(_ entry: Entry) throws(RemoteError) {
    do { try FileManager.default.createDirectory(atPath: entry.folder, withIntermediateDirectories: true) } catch {
      throw RemoteError.cache(folder, errno == 0 ? EACCES : errno)
    }
  }

  // MARK: Room

  /// A file that takes room.
  private struct Occupant {
    let entry: Entry
    /// The path of the data; nil for a download that has not ended.
    let data: String?
    let bytes: UInt64
    let used: Double
  }

  /// Removes files until `facts` fits, and reserves the room by writing it down.
  /// - Returns: whether there is room; if not, a folder in which an event may change that.
  func reserve(_ facts: FileFacts, for entry: Entry, _ room: Room) throws(RemoteError) -> (Bool, waitFor: String?) {
    let lock = try FileLock(waitingFor: "\(folder)/lock")
    defer { withExtendedLifetime(lock) {} }
    guard facts.bytes <= bound else { return (false, nil) }
    let others = occupants().filter { $0.entry != entry }.sorted { $0.used < $1.used }
    var taken = others.reduce(0) { $0 &+ $1.bytes }
    var busy: String?
    for other in others where taken > bound - facts.bytes {
      if case .unusedSince(let start) = room, other.used >= start { break }
      if other.entry.evict(other.data) { taken &-= other.bytes } else { busy = busy ?? other.entry.folder }
    }
    guard taken <= bound - facts.bytes else { return (false, busy) }
    try entry.begin(facts)
    return (true, nil)
  }

  private func occupants() -> [Occupant] {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
    return names.flatMap { name -> [Occupant] in
      let entry = Entry(folder: "\(folder)/\(name)")
      var found: [Occupant] = []
      for file in entry.names {
        let path = "\(entry.folder)/\(file)"
        var facts = stat()
        guard unsafe stat(path, &facts) == 0 else { continue }
        let used = Double(facts.st_mtim.tv_sec) + Double(facts.st_mtim.tv_nsec) * 1e-9
        if Entry.isData(file) {
          found.append(Occupant(entry: entry, data: path, bytes: UInt64(clamping: facts.st_size), used: used))
        } else if file == "part" {
          let reserved = max(UInt64(clamping: facts.st_size), entry.partFacts?.bytes ?? 0)
          found.append(Occupant(entry: entry, data: nil, bytes: reserved, used: used))
        }
      }
      return found
    }
  }
}

/// What the server says about a file.
public struct FileFacts: Hashable, Codable, Sendable {
  public var bytes: UInt64
  /// A strong tag, or else the date of the last change; empty if the server gives neither.
  public var validator: String

  /// Another number for other contents, as far as the server tells.
  public var version: UInt64 { Digest128(of: Array("\(bytes) \(validator)".utf8)).low }
}

/// The folder of one address in the cache.
struct Entry: Hashable, Sendable {
  let folder: String

  var lock: String { "\(folder)/lock" }
  var part: String { "\(folder)/part" }

  var names: [String] { (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? [] }

  static func isData(_ name: String) -> Bool { name.hasPrefix("data-") && !name.hasSuffix(".facts") }

  func held() -> LocalFile? {
    guard let name = names.first(where: Self.isData) else { return nil }
    return LocalFile(holding: "\(folder)/\(name)")
  }

  /// What is known of a whole file, by its path.
  func facts(of data: String) -> FileFacts? { Self.read("\(data).facts") }

  var partFacts: FileFacts? { Self.read("\(part).facts") }

  private static func read(_ path: String) -> FileFacts? {
    FileManager.default.contents(atPath: path).flatMap { try? JSONDecoder().decode(FileFacts.self, from: $0) }
  }

  // MARK: What whoever has the lock does

  /// Forgets what arrived of another download, and begins one of `facts`.
  func begin(_ facts: FileFacts) throws(RemoteError) {
    forgetPart()
    let opened = unsafe open(part, O_WRONLY | O_CREAT | O_CLOEXEC, 0o666)
    guard opened >= 0 else { throw RemoteError.cache(part, errno) }
    close(opened)
    do {
      try JSONEncoder().encode(facts).write(to: URL(fileURLWithPath: "\(part).facts"), options: .atomic)
    } catch { throw RemoteError.cache(part, errno == 0 ? EIO : errno) }
  }

  func forgetPart() {
    unsafe unlink(part)
    unsafe unlink("\(part).facts")
  }

  /// Gives a whole download its name.
  func finish() throws(RemoteError) {
    forgetData()
    let data = "\(folder)/data-\(String(UInt64.random(in: 0...UInt64.max), radix: 16))"
    guard unsafe rename("\(part).facts", "\(data).facts") == 0, unsafe rename(part, data) == 0 else {
      throw RemoteError.cache(part, errno)
    }
  }

  /// Removes the whole file. Whoever reads it goes on.
  func forgetData() {
    for name in names where name.hasPrefix("data-") { unsafe unlink("\(folder)/\(name)") }
  }

  // MARK: What others do

  /// Removes a file that nobody reads, or a download that nobody works at.
  /// - Returns: whether it is gone.
  func evict(_ data: String?) -> Bool {
    guard let data else {
      guard let lock = try? FileLock(tryingFor: lock) else { return false }
      forgetPart()
      withExtendedLifetime(lock) {}
      return true
    }
    let opened = unsafe open(data, O_RDONLY | O_CLOEXEC)
    guard opened >= 0 else { return errno == ENOENT }
    defer { close(opened) }
    guard retried({ flock(opened, LOCK_EX | LOCK_NB) }) == 0 else { return false }
    unsafe unlink(data)
    unsafe unlink("\(data).facts")
    return true
  }
}
