// Where the real clips lie that some tests need; they are not part of the project.
import CFFmpeg
import Foundation
import Shared
import Testing

@testable import Video

enum RealClips {
  static let folder: URL = {
    let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent()
    let beside = root.deletingLastPathComponent().appendingPathComponent("shared")
    let shared = ProcessInfo.processInfo.environment["TAMRING_SHARED"].map { URL(fileURLWithPath: $0) } ?? beside
    return shared.appendingPathComponent("clips")
  }()

  static var arePresent: Bool { FileManager.default.fileExists(atPath: folder.path) }
  static let missing = "the real clips of ../shared/clips are not here (or set TAMRING_SHARED)"

  static func path(_ name: String) -> String { folder.appendingPathComponent(name).path }

  /// The videos (and what claims to be one), by their name below the folder.
  static let names: [String] = {
    let all = FileManager.default.enumerator(atPath: folder.path)?.compactMap { $0 as? String } ?? []
    return all.filter { name in
      [".mp4", ".avi", ".mkv", ".mov", ".webm", ".h264"].contains { name.hasSuffix($0) }
    }.sorted()
  }()
}

extension DecodedFrame {
  /// A digest of the decoded planes.
  func digest() -> Digest128 {
    let format = AVPixelFormat(pointer.pointee.format)
    let (width, height) = (pointer.pointee.width, pointer.pointee.height)
    let size = av_image_get_buffer_size(format, width, height, 1)
    var bytes = [UInt8](repeating: 0, count: Int(size))
    let data = pointer.pointee.data
    let lines = pointer.pointee.linesize
    let planes = [data.0, data.1, data.2, data.3].map { plane in plane.map { UnsafePointer<UInt8>($0) } }
    let rows = [lines.0, lines.1, lines.2, lines.3]
    _ = av_image_copy_to_buffer(&bytes, size, planes, rows, format, width, height, 1)
    return Digest128(of: bytes)
  }
}

/// Checks that frames that are chosen at random are those of decoding everything and counting.
/// - Parameter truth: digests of all frames.
func expectExact(_ video: VideoFile, _ truth: [Digest128], choices: Int) throws {
  let count = try video.frameCount()
  #expect(truth.count == count)
  var generator = Philox(seed: 5, .selfTest)
  for _ in 0..<choices {
    var wanted = Set((0..<1 + generator.below(8)).map { _ in generator.below(count) })
    if generator.below(2) == 0 { wanted.formUnion([0, count - 1]) }
    var found: [Int: Digest128] = [:]
    let outcome = try video.decode(Array(wanted)) { found[$0] = $1.digest() }
    #expect(outcome == .complete)
    #expect(found == Dictionary(uniqueKeysWithValues: wanted.map { ($0, truth[$0]) }))
  }
}
