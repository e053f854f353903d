// Packs: that they hold the clips' frames, that other programs read them, that their bytes depend on nothing else, and
// that damage is found.
import Dataset
import Foundation
import Shared
import TestSupport
import Testing
import Video

@testable import Packing

@Suite struct PackTests {
  /// A whole clip, a part of a long one, one that is turned, a folder of images, and one of two classes with an odd
  /// name and size.
  private static func some() throws -> PackedClips {
    var clips = try PackedClips()
    try clips.add("whole", try PackedClips.video(frames: 30), file: "whole.mp4")
    try clips.add("part", try PackedClips.video(frames: 90), file: "long.mp4", first: 40, frames: 25, label: 1)
    try clips.index("other part", file: "long.mp4", first: 5, frames: 20)
    try clips.add("turned", PackedClips.turned(try PackedClips.video(frames: 20)), file: "turned.mp4")
    let images = clips.path("images")
    try FileManager.default.createDirectory(atPath: images, withIntermediateDirectories: true)
    for number in 1...12 { try bitmap(number).write(to: URL(fileURLWithPath: "\(images)/img_\(number).bmp")) }
    try clips.index("images", file: "images", label: 1)
    try clips.add(
      "über/50%/v1.2 \(String(repeating: "x", count: 120)).mp4",
      try PackedClips.video(frames: 9, width: 66, height: 98),
      file: "odd.mp4")
    clips.clips[5].labels = [0, 1]
    return clips
  }

  /// A picture of 48x40 pixels whose colours depend on place and number.
  private static func bitmap(_ number: Int) -> Data {
    var data = Data("BM".utf8)
    func append(_ value: Int, bytes: Int) { for byte in 0..<bytes { data.append(UInt8(value >> (8 * byte) & 255)) } }
    for (value, bytes) in [
      (54 + 48 * 40 * 3, 4), (0, 4), (54, 4), (40, 4), (48, 4), (40, 4), (1, 2), (24, 2), (0, 4), (0, 4), (0, 4),
      (0, 4), (0, 4), (0, 4),
    ] { append(value, bytes: bytes) }
    for row in 0..<40 {
      for column in 0..<48 { data += [UInt8(column * 4), UInt8(row * 5), UInt8(number * 15)] }
    }
    return data
  }

  @Test("training sees nearly the same in a pack as in the files: cut, turned, scaled, from images")
  func frames() throws {
    let clips = try Self.some()
    let outcome = try clips.packer(to: "pack").run()
    #expect(outcome.clips == 6 && outcome.rejected == 0 && outcome.shards == 2 && outcome.copies == 0)
    let pack = try #require(try Pack(in: clips.folder.path("pack")))
    try pack.checkSizes()
    let index = try pack.index("train")
    #expect(index.classes == ["yoga", "air drumming"])
    for clip in clips.clips {
      let packed = index.clips[try #require(index.number(of: clip.id))]
      #expect(packed.frames == clip.frames && packed.first == 0 && packed.labels == clip.labels && packed.isProved)
      #expect(packed.offset % 512 == 0 && min(packed.width, packed.height) == 32)
      let (before, after) = (
        try clips.seen(clip, below: clips.folder.path("data/train")),
        try clips.seen(packed, below: clips.folder.path("pack"))
      )
      let count = Float(before.count)
      let mean = zip(before, after).reduce(0) { $0 + abs($1.0 - $1.1) } / count
      let signed = zip(before, after).reduce(0) { $0 + $1.0 - $1.1 } / count
      // One level of 255 is 0.017; the next frame is 0.04 away, a picture that is not turned, 0.4. The images are of
      // strong colours, whose rounded chroma leaves what red, green and blue can show.
      let (most, bias): (Float, Float) = clip.id == "images" ? (0.03, 0.02) : (0.02, 0.01)
      #expect(mean < most && abs(signed) < bias, "\(clip.id): \(mean), \(signed)")
    }
    #expect(index.clips[try #require(index.number(of: "turned"))].height == 48)
  }

  @Test("the same bytes come out with one thread and with three, and given again nothing is done")
  func sameBytes() throws {
    let clips = try Self.some()
    var one = try clips.packer(to: "one", validation: true)
    one.threads = 1
    var three = try clips.packer(to: "three", validation: true)
    three.threads = 3
    _ = try one.run()
    _ = try three.run()
    let files = try clips.files("one")
    #expect(try clips.files("three") == files)
    #expect(
      files.keys.sorted() == [
        "index/train.clips", "index/validation.clips", "labels.json", "pack.json", "rejected-train.tsv",
        "rejected-validation.tsv", "train-000000.tar", "train-000001.tar", "validation-000000.tar",
        "validation-000001.tar",
      ])
    #expect(try three.run().wasWhole)
    three.packing.quantiser = 30
    three.limits.clips = 4
    let error = #expect(throws: DatasetError.self) { _ = try three.run() }
    #expect(error?.status == .badConfiguration)
    #expect(
      error?.description.contains("clips per shard was 3, is now 4; quality was 20, is now 30") == true,
      "\(error?.description ?? "")")
  }

  @Test("Python's tarfile and tar list the samples by WebDataset's rule, with the ids in their keys")
  func otherPrograms() throws {
    let clips = try Self.some()
    _ = try clips.packer(to: "pack").run()
    let script = """
      import json, re, sys, tarfile
      for path in sys.argv[1:]:
        samples = {}
        for member in tarfile.open(path, "r|"):
          key, kind = re.match(r"^((?:.*/|)[^.]+)[.]([^/]*)$", member.name).groups()
          samples.setdefault(key, {})[kind] = tarfile.open(path).extractfile(member).read()
        for key, sample in samples.items():
          about = json.loads(sample["json"])
          assert sorted(sample) == ["cls", "json", "mp4"] and sample["mp4"][4:8] == b"ftyp", key
          labels, names = ([about[name]] if not isinstance(about[name], list) else about[name] for name in ("label", "class"))
          assert [int(label) for label in sample["cls"].split()] == labels
          print(key, about["id"], "+".join(names), about["frames"], sep="|")
      """
    let shards = ["train-000000.tar", "train-000001.tar"].map { clips.folder.path("pack/\($0)") }
    let listed = try RunningProcess("/usr/bin/env", ["python3", "-c", script] + shards).finish()
    #expect(listed.status == 0, "\(listed.output)")
    let long = String(repeating: "x", count: 120)
    #expect(
      listed.output.split(separator: "\n").sorted() == [
        "images|images|air drumming|12", "other part|other part|yoga|20", "part|part|air drumming|25",
        "turned|turned|yoga|20", "whole|whole|yoga|30",
        "über/50%25/v1%2E2 \(long)%2Emp4|über/50%/v1.2 \(long).mp4|yoga+air drumming|9",
      ], "\(listed.output)")
    for shard in shards {
      let tar = try RunningProcess("/usr/bin/env", ["tar", "tf", shard]).finish()
      #expect(tar.status == 0 && tar.output.split(separator: "\n").count == 9, "\(tar.output)")
      // And by our own reader, which knows nothing of the pack.
      let list = try Annotations(contentsOf: shard)
      #expect(list.source.name == "webdataset" && list.count == 3 && Set(list.labels.keys).isSubset(of: ["0", "1"]))
    }
  }

  @Test(
    "keys differ where ids differ, and are no absolute or empty paths",
    arguments: [
      ("a", "a"), ("/a", "%2Fa"), ("a/", "a%2F"), ("a//b", "a/%2Fb"), ("../x", "%2E%2E/x"), ("a%2Eb", "a%252Eb"),
      ("a.b", "a%2Eb"), ("tab\t", "tab%09"), ("日本/語", "日本/語"),
    ])
  func keys(id: String, key: String) { #expect(TarMembers.key(id) == key) }

  @Test("a clip that cannot be decoded is left out with the reason, and the others are packed")
  func damaged() throws {
    var clips = try Self.some()
    var bytes = try PackedClips.video(frames: 40)
    try clips.add("bad", bytes, file: "bad.mp4")
    // Within a picture, which indexing has not decoded.
    let data = try #require(bytes.range(of: Data("mdat".utf8)))
    for place in stride(from: data.upperBound + 1200, to: data.upperBound + 1500, by: 3) { bytes[place] ^= 0x5A }
    try bytes.write(to: URL(fileURLWithPath: clips.path("bad.mp4")))
    clips.clips[6].hash = Digest128(of: bytes)
    let outcome = try clips.packer(to: "pack").run()
    #expect(outcome.clips == 6 && outcome.rejected == 1)
    let rejected = try clips.folder.text("pack/rejected-train.tsv").split(separator: "\n")
    #expect(rejected.count == 2 && rejected[1].hasPrefix("bad\tbad.mp4\tcannot be packed: "), "\(rejected)")
  }

  @Test("a file that has changed since it was indexed ends the packing, and is named")
  func changed() throws {
    let clips = try Self.some()
    try PackedClips.video(frames: 31).write(to: URL(fileURLWithPath: clips.path("whole.mp4")))
    let error = #expect(throws: DatasetError.self) { _ = try clips.packer(to: "pack").run() }
    #expect(
      error?.status == .ioError && error?.description.contains("whole.mp4: changed since it was indexed") == true,
      "\(error?.description ?? "")")
  }

  @Test("verification reads everything, and names the clip of which one bit has flipped")
  func verification() throws {
    let clips = try Self.some()
    _ = try clips.packer(to: "pack").run()
    let pack = try #require(try Pack(in: clips.folder.path("pack")))
    #expect(pack.verify() == [])
    let index = try pack.index("train")
    let clip = index.clips[try #require(index.number(of: "part"))]
    let path = clips.folder.path("pack/\(clip.path)")
    var bytes = try Data(contentsOf: URL(fileURLWithPath: path))
    bytes[Int(clip.offset + clip.bytes / 2)] ^= 1
    try bytes.write(to: URL(fileURLWithPath: path))
    #expect(pack.verify() == ["\(path): its contents have changed", "\(path): the video of clip 'part' has changed"])
    try bytes.dropLast(512).write(to: URL(fileURLWithPath: path))
    let error = #expect(throws: DatasetError.self) { try pack.checkSizes() }
    #expect(error?.description.contains("and the pack's manifest says") == true)
  }

  @Test("a small H.264 file with near key frames is copied byte for byte, a part of it or a larger one is not")
  func copies() throws {
    var clips = try PackedClips()
    let video = try PackedClips.video(frames: 30)
    try clips.add("copied", video, file: "a.mp4")
    try clips.add("part", video, file: "b.mp4", first: 2, frames: 20)
    let packer = try clips.packer(to: "pack", ClipPacking(shortSide: 64))
    #expect(try packer.run().copies == 1)
    let pack = try #require(try Pack(in: clips.folder.path("pack")))
    let index = try pack.index("train")
    let copied = index.clips[try #require(index.number(of: "copied"))]
    #expect(copied.hash == Digest128(of: video) && copied.bytes == UInt64(video.count))
    #expect(try clips.packer(to: "smaller", ClipPacking(shortSide: 62)).run().copies == 0)
    #expect(try clips.packer(to: "never", ClipPacking(shortSide: 64, copies: false)).run().copies == 0)
  }

  @Test(
    "a full disk ends packing with one line and code 74; given again with room, the bytes are those of one go",
    .enabled(if: SmallDisk.isPermitted, "mounting a small disk needs root"))
  func fullDisk() throws {
    let clips = try Self.some()
    _ = try clips.packer(to: "whole").run()
    let disk = try SmallDisk(kilobytes: 2048)
    var packer = try clips.packer(to: "")
    packer.folder = "\(disk.path)/pack"
    try disk.fill(except: 20 << 10)
    let error = #expect(throws: DatasetError.self) { _ = try packer.run() }
    #expect(
      error?.status == .ioError && error?.description.contains("No space left on device); make room") == true,
      "\(error?.description ?? "")")
    try disk.free()
    _ = try packer.run()
    let manifest = try Data(contentsOf: URL(fileURLWithPath: "\(packer.folder)/pack.json"))
    #expect(try clips.files("whole")["pack.json"] == manifest)
  }

  @Test("a manifest that leads out of its folder, or of another version, is refused")
  func hostile() throws {
    for (text, reason) in [
      (#"{"version":2}"#, "is of version 2"), ("[]", "is no manifest"), (#"{"version":1}"#, "is damaged"),
      (
        #"{"version":1,"settings":{},"prober":"","files":[],"shards":[{"name":"../x.tar","bytes":1,"sha256":"","list":"train","clips":1}]}"#,
        "pack.json: names a file outside of the pack, '../x.tar'"
      ),
    ] {
      let error = #expect(throws: DatasetError.self) { _ = try PackManifest(Data(text.utf8), name: "pack.json") }
      #expect(error?.description.contains(reason) == true, "\(error?.description ?? "")")
    }
  }
}
