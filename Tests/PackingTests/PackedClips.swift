// Clips for the tests of packs, and an index of them.
import CFFmpeg
import Dataset
import Foundation
import Packing
import Shared
import TestSupport

@testable import Video

/// A folder of small videos, which is packed.
struct PackedClips {
  let folder = try! TemporaryFolder()
  var clips: [ClipEntry] = []

  init() throws {
    try FileManager.default.createDirectory(atPath: folder.path("data/train"), withIntermediateDirectories: true)
  }

  func path(_ name: String) -> String { folder.path("data/train/\(name)") }

  /// A video in which no two frames are alike, and no two corners.
  static func video(frames: Int, width: Int = 96, height: Int = 64) throws -> Data {
    let gateway = FFmpegGateway(path: "test")
    var session: PackEncoder?
    for number in 0..<frames {
      let picture = try PackedPicture(width: width, height: height, gateway)
      picture.frame.pointee.color_range = AVCOL_RANGE_MPEG
      picture.frame.pointee.chroma_location = AVCHROMA_LOC_LEFT
      for (component, plane) in PackedPicture.planes(picture.frame).enumerated() {
        for row in 0..<plane.rows {
          for column in 0..<plane.columns {
            plane.base?[row * plane.rowBytes + column] =
              component == 0
              ? UInt8(40 + number * 2 % 100 + column / 2 + row / 4) : UInt8(90 + component * 20 + (row + number) / 3)
          }
        }
      }
      let encoder = try session ?? PackEncoder(like: picture, quantiser: 10, frameRate: 25, gateway)
      session = encoder
      try encoder.add(picture)
    }
    return try session!.finish().bytes
  }

  /// Makes the file say that it is shown turned by 90 degrees.
  static func turned(_ video: Data) -> Data {
    var video = video
    guard let box = video.range(of: Data("tkhd".utf8)) else { return video }
    let matrix: [Int32] = [0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30]
    let place = box.upperBound + 40
    for (number, value) in matrix.enumerated() {
      withUnsafeBytes(of: value.bigEndian) {
        video.replaceSubrange(place + 4 * number..<place + 4 * number + 4, with: $0)
      }
    }
    return video
  }

  /// Writes a file, and indexes a clip of it.
  mutating func add(
    _ id: String, _ bytes: Data, file: String, first: Int = 0, frames: Int? = nil, label: Int = 0
  ) throws {
    try bytes.write(to: URL(fileURLWithPath: path(file)))
    try index(id, file: file, first: first, frames: frames, label: label)
  }

  mutating func index(_ id: String, file: String, first: Int = 0, frames: Int? = nil, label: Int = 0) throws {
    let found = try ClipProbe.probe(path(file), deep: false)
    clips.append(
      ClipEntry(
        id: id, path: file, labels: [label], bytes: found.bytes, hash: found.hash, first: first,
        frames: frames ?? found.frames, isProved: found.isProved, width: found.width, height: found.height,
        frameRate: Float(found.frameRate), codec: found.codec))
  }

  func packer(
    to name: String, _ packing: ClipPacking = ClipPacking(shortSide: 32, quantiser: 20, copies: false),
    validation: Bool = false
  ) throws -> Packer {
    let index = try ClipIndex(classes: ["yoga", "air drumming"], clips: clips)
    let none = try ClipIndex(classes: ["yoga", "air drumming"], clips: [])
    return Packer(
      folder: folder.path(name), data: folder.path("data"),
      lists: [
        Packer.List(name: "train", index: index, rejected: .none, videos: "train"),
        Packer.List(name: "validation", index: validation ? index : none, rejected: .none, videos: "train"),
      ], packing: packing, limits: ShardLimits(bytes: 1 << 20, clips: 3), seed: 7, rules: VideoRules(), prober: "test")
  }

  /// All files of a pack, by name.
  func files(_ name: String) throws -> [String: Data] {
    var files: [String: Data] = [:]
    for file in FileManager.default.enumerator(atPath: folder.path(name))?.compactMap({ $0 as? String }) ?? [] {
      var isFolder: ObjCBool = false
      _ = FileManager.default.fileExists(atPath: folder.path("\(name)/\(file)"), isDirectory: &isFolder)
      if !isFolder.boolValue {
        files[file] = try Data(contentsOf: URL(fileURLWithPath: folder.path("\(name)/\(file)")))
      }
    }
    return files
  }

  /// What training sees of a clip: 8 frames of 32x32.
  func seen(_ clip: ClipEntry, below folder: String) throws -> [Float] {
    let form = ClipForm(frames: 8, size: 32, training: false, seed: 1)
    let request = ClipRequest(
      path: "\(folder)/\(clip.path)", range: clip.bytesInShard, first: clip.first, frames: clip.frames,
      isProved: clip.isProved, head: FileHead(code: clip.head), clip: 0, expectedBytes: clip.bytes,
      expectedHash: clip.hash)
    let storage = FloatStorage(count: form.clipElements)
    try ClipLoader().load(request, form, epoch: 0, into: storage)
    return storage.array
  }
}
