// Facts about a video file that need no FFmpeg: its size, its hash, whether an MP4 lacks its index.
import Foundation
import Shared

enum FileFacts {
  /// The bytes of a regular file.
  /// - Throws: `VideoError` if it is missing, not a regular file, or empty.
  static func size(_ path: String) throws(VideoError) -> UInt64 {
    let attributes: [FileAttributeKey: Any]
    do {
      let real = URL(fileURLWithPath: path).resolvingSymlinksInPath().path
      attributes = try FileManager.default.attributesOfItem(atPath: real)
    } catch {
      throw VideoError(path: path, operation: "open", cause: "no such file, or no permission")
    }
    guard attributes[.type] as? FileAttributeType == .typeRegular else {
      throw VideoError(path: path, operation: "open", cause: "not a regular file")
    }
    let size = (attributes[.size] as? NSNumber)?.uint64Value ?? 0
    guard size > 0 else { throw VideoError(path: path, operation: "open", cause: "the file has zero bytes") }
    return size
  }

  /// XXH3-128 of the whole file, and the number of bytes that were hashed.
  static func hash(_ path: String, _ progress: DecodeProgress? = nil) throws(VideoError) -> (
    bytes: UInt64, hash: Digest128
  ) {
    do {
      let file = try FileHandle(forReadingFrom: URL(fileURLWithPath: path))
      defer { try? file.close() }
      let digest = Digest128Stream()
      var bytes: UInt64 = 0
      while let piece = try file.read(upToCount: 1 << 20), !piece.isEmpty {
        digest.update(piece)
        progress?.moved()
        bytes += UInt64(piece.count)
      }
      return (bytes, digest.finish())
    } catch {
      throw VideoError(path: path, operation: "read", cause: error.localizedDescription, status: .ioError)
    }
  }

  /// Whether the file is an MP4 or MOV without a top-level `moov` box, typically an incomplete download.
  static func lacksMovieBox(_ path: String) -> Bool {
    guard let file = try? FileHandle(forReadingFrom: URL(fileURLWithPath: path)) else { return false }
    defer { try? file.close() }
    var offset: UInt64 = 0
    var isMovie = false
    for _ in 0..<1000 {
      guard (try? file.seek(toOffset: offset)) != nil, let head = try? file.read(upToCount: 16), head.count >= 8
      else { break }
      var size = head.prefix(4).reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
      let name = String(decoding: head.dropFirst(4).prefix(4), as: UTF8.self)
      if offset == 0 { isMovie = name == "ftyp" || name == "mdat" || name == "wide" || name == "free" }
      if name == "moov" { return false }
      if size == 1 { size = head.dropFirst(8).reduce(UInt64(0)) { $0 << 8 | UInt64($1) } }
      let (next, overflow) = offset.addingReportingOverflow(size)
      guard isMovie, size >= 8, !overflow else { break }
      offset = next
    }
    return isMovie
  }
}
