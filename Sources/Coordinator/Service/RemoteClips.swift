// Clips on the web, as indexing asks for them: the one place where the coordinator's paths become files of this host.
import Dataset
import Foundation
import Glibc
import Recipes
import Remote
import Shared
import Video

extension RemoteFiles {
  /// What indexing reads through: the cache of this host, with a minute's patience.
  convenience init(_ recipe: Recipe) { self.init(bytes: recipe.data.cacheBytes, patience: .minute) }

  /// A path, or an address, as a file of this host for as long as `body` runs.
  /// - Throws: `RemoteError`; what `body` throws, where a `VideoError` names the address.
  func with<Result>(_ path: String, _ body: (String) throws -> Result) throws -> Result {
    guard isWebAddress(path) else { return try body(path) }
    // Indexing has waits of its own.
    let file = try whole(path, patience: .seconds)
    do { return try withExtendedLifetime(file) { try body(file.path) } } catch let error as VideoError {
      throw error.renamed(shownPath(path))
    }
  }

  /// What tells, without reading a file on the web, whether it changed. Nil if it cannot be asked; `errno` says why.
  func stamp(_ path: String) -> FileStamp? {
    do throws(RemoteError) {
      let facts = try facts(path, patience: .seconds)
      let version = Int64(bitPattern: facts.version | 1)
      return FileStamp(bytes: facts.bytes, modified: version, changed: version)
    } catch {
      errno = EIO
      // Probing says what the server answers. Nothing is kept about a file of no time.
      return error.isPassing ? nil : FileStamp(bytes: 0, modified: 0, changed: 0)
    }
  }

  /// Reads all of a file, or of its part of a shard.
  func contents(
    _ path: String, _ range: Range<UInt64>?, _ read: (String, Range<UInt64>?) -> PassingErrors.Contents
  ) -> PassingErrors.Contents {
    do { return try with(path) { read($0, range) } } catch {
      return .failed((error as? RemoteError)?.isPassing == false ? ENOENT : EIO)
    }
  }
}

extension FileIndexing.Settings {
  /// The same, where a path may be an address.
  func reading(_ remote: RemoteFiles) -> Self {
    var settings = self
    let (probe, contents, stamp) = (probe, contents, stamp)
    settings.probe = { path, range, deep in try remote.with(path) { try probe($0, range, deep) } }
    settings.contents = { remote.contents($0, $1, contents) }
    settings.stamp = { isWebAddress($0) ? remote.stamp($0) : stamp($0) }
    return settings
  }
}
