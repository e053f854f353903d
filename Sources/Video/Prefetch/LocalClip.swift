// What stands in for a clip's file where that is not on this host. Whoever makes a loader knows how to get it.
import Shared

/// A file of this host that holds a clip's bytes.
public struct LocalClip: Sendable {
  let path: String
  /// The bytes of it that are the clip's file; nil for all.
  let range: Range<UInt64>?
  /// The path for messages.
  let shown: String
  /// Tells files apart that have the same path one after another; nil for a file that is read once.
  let identity: String?
  /// Keeps the file where it is while the clip is loaded.
  let hold: any Sendable
  /// Called if the bytes are not those of the index.
  let reject: @Sendable () -> Void

  public init(
    path: String, range: Range<UInt64>?, shown: String, identity: String?, hold: any Sendable,
    reject: @escaping @Sendable () -> Void
  ) {
    self.path = path
    self.range = range
    self.shown = shown
    self.identity = identity
    self.hold = hold
    self.reject = reject
  }
}

extension LocalClip {
  /// What it is at the moment; nil for a file that is read once.
  var version: FileVersion? { identity.map { FileVersion($0, start: range?.lowerBound ?? 0) } }
}

/// Gets the file of a clip, and calls `progress.moved()` while bytes arrive. Nil: the request's path is a file here.
public typealias ClipResolver = @Sendable (ClipRequest, _ progress: DecodeProgress) throws -> LocalClip?

extension VideoError {
  /// The same failure of a file that the reader knows by another path.
  public func renamed(_ path: String) -> VideoError {
    VideoError(
      path: path, operation: operation, cause: cause, clip: clip, status: status, errorNumber: errorNumber)
  }
}
