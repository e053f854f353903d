// A folder of images is a clip.
import CFFmpeg
import Foundation
import Shared
import Testing

@testable import Video

@Suite struct ImageFolderTests {
  /// Writes images of a clip under the names that `name` gives, and calls `body` with their folder.
  private func withImages(
    _ numbers: [Int], encoder: String = "mjpeg", _ name: (Int) -> String, _ body: (String) throws -> Void
  ) throws {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("tamring-\(UUID())")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    for number in numbers {
      let isJPEG = encoder == "mjpeg"
      // One picture, of a brightness that tells its number.
      let bytes = try ClipMaker(
        encoder: encoder, container: isJPEG ? "mjpeg" : "image2pipe", frames: 1, width: 32 + 2 * number,
        format: isJPEG ? AV_PIX_FMT_YUVJ420P : AV_PIX_FMT_RGB24
      ).make()
      try bytes.write(to: folder.appendingPathComponent(name(number)))
    }
    try body(folder.path)
  }

  private func widths(_ path: String, _ frames: [Int]) throws -> [Int: Int] {
    var widths: [Int: Int] = [:]
    try ImageFolder(path: path).decode(frames) { widths[$0] = $1.width }
    return widths
  }

  @Test("images are frames in the order of their numbers, not of their names", arguments: ["mjpeg", "png"])
  func order(encoder: String) throws {
    let ending = encoder == "png" ? "png" : "JPG"
    try withImages([10, 9, 100, 1], encoder: encoder, { "frame\($0).\(ending)" }) { path in
      try Data("no image".utf8).write(to: URL(fileURLWithPath: path + "/notes.txt"))
      #expect(try widths(path, [0, 1, 2, 3]) == [0: 34, 1: 50, 2: 52, 3: 232])
      let clip = try ClipProbe.probe(path, deep: true)
      #expect(clip.frames == 4 && clip.width == 34 && clip.height == 64 && clip.isProved)
      #expect(clip.frames(numbered: 9, through: 10) == 1..<3)
      #expect(clip.frames(numbered: 1, through: 10) == nil && clip.frames(numbered: 2, through: 9) == nil)
      #expect(clip.frames(numbered: 10, through: 9) == nil)
    }
  }

  @Test("pictures of optical flow beside the frames are passed over; two images with one number are named")
  func names() throws {
    let names = ["img_00002.jpg", "img_00001.jpg", "flow_x_00001.jpg", "flow_y_00001.jpg", ".hidden3.jpg", "a.txt"]
    #expect(try ImageNames.sorted(names, in: "f").map(\.name) == ["img_00001.jpg", "img_00002.jpg"])
    for (bad, word) in [
      (["a_1.jpg", "b_1.png"], "same number"), (["cover.jpg"], "no number"), (["a.txt"], "no jpg or png"),
      (["a_99999999999999999999.jpg"], "no number"),
    ] {
      let error = #expect(throws: VideoError.self) { try ImageNames.sorted(bad, in: "f") }
      #expect(error?.cause.contains(word) == true && error?.path == "f")
    }
  }

  @Test("a template tells the frames from all else that is in a folder, whatever its name has and whatever ends it")
  func templates() throws {
    func chosen(_ template: String, _ names: [String]) throws -> [String] {
      let template = ImageNameTemplate(template)
      #expect(template != nil)
      return try ImageNames.sorted(names, in: "f", named: template).map(\.name)
    }
    let mixed = [
      ".", "img_00010.jpg", "img_00002.jpg", "img_2.jpg", "img_000003.jpg", "img_100000.jpg", "flow_x_00001.jpg",
      "IMG_00004.jpg", "img_00005.JPG", "img_00006.jpg.part", "img_0000a.jpg", "img_.jpg", "img_-0001.jpg", "12.jpg",
      "img_99999999999999999999.jpg",
    ]
    for template in ["img_{:05d}.jpg", "img_{:05}.jpg", "img_{0:05d}.jpg", "img_%05d.jpg"] {
      #expect(try chosen(template, mixed) == ["img_00002.jpg", "img_00010.jpg", "img_100000.jpg"])
    }
    for template in ["img_{}.jpg", "img_{:d}.jpg", "img_%d.jpg"] {
      #expect(try chosen(template, mixed + ["img_0.jpg"]) == ["img_0.jpg", "img_2.jpg", "img_100000.jpg"])
    }
    #expect(try chosen("{:02d}", ["07", "8", "100", "09.jpg"]) == ["07", "100"])
    #expect(try chosen("x_{:05d}.jpg", ["x_00001.jpg", "y_00001.jpg"]) == ["x_00001.jpg"])
    #expect(try chosen("(a) %[*].{}.é", ["(a) %[*].7.é", "(a) %[*].7.e\u{301}"]) == ["(a) %[*].7.é"])
    for bad in [
      "", "img.jpg", "img_{:5d}.jpg", "img_%5d.jpg", "img_{:0d}.jpg", "img_{:05x}.jpg", "{:05d}_{:05d}.jpg", "%d{}",
      "rgb/{:05d}.jpg", "{1}.jpg", "{:0999d}.jpg", "img_{:05d", "%s.jpg", "{}\n",
      "{}" + String(repeating: "a", count: 254),
    ] { #expect(ImageNameTemplate(bad) == nil, "\(bad)") }
    for (names, words) in [
      ([], "the folder is empty"), ([".b.jpg", "b.jpg"], "the folder holds 'b.jpg'"),
      (["b1.jpg", "a1.jpg", "c1.jpg"], "the folder holds 'a1.jpg' and 2 more"),
    ] {
      let error = #expect(throws: VideoError.self) { try chosen("img_{:05d}.jpg", names) }
      #expect(error?.cause == "no image is named as data.image_names says ('img_{:05d}.jpg'); \(words)")
    }
  }

  @Test("only the images of the template are frames, are hashed, and need be whole")
  func template() throws {
    try withImages([1, 2, 3, 4], { $0 % 2 == 1 ? "rgb-\($0)" : "depth-\($0 - 1)" }) { path in
      try Data("no image".utf8).write(to: URL(fileURLWithPath: path + "/depth-3"))
      let rules = VideoRules(imageNames: ImageNameTemplate("rgb-{}"))
      let clip = try ClipProbe.probe(path, deep: true, rules: rules)
      #expect(clip.frames == 2 && clip.width == 34 && clip.imageNumbers == [1, 3])
      var widths: [Int: Int] = [:]
      try ImageFolder(path: path, rules: rules).decode([0, 1]) { widths[$0] = $1.width }
      #expect(widths == [0: 34, 1: 38])
      let images = try [1, 3].map { try Data(contentsOf: URL(fileURLWithPath: path + "/rgb-\($0)")) }
      #expect(clip.bytes == UInt64(images.reduce(0) { $0 + $1.count }))
    }
  }

  @Test("a folder is loaded like a file, only its wanted images are opened, and a change of one is seen")
  func load() throws {
    try withImages(Array(1...8), { "img_0000\($0).jpg" }) { path in
      let clip = try ClipProbe.probe(path, deep: false)
      let form = ClipForm(frames: 2, size: 16, training: false, seed: 1)
      let request = ClipRequest(
        path: path, first: 2, frames: 4, clip: 5, expectedBytes: clip.bytes, expectedHash: clip.hash)
      let storage = FloatStorage(count: form.clipElements)
      let loader = ClipLoader()
      try loader.load(request, form, epoch: 0, into: storage)
      // Frames 3 and 5 of the folder are images 4 and 6.
      try Data("gone".utf8).write(to: URL(fileURLWithPath: path + "/img_00001.jpg"))
      try loader.load(request, form, epoch: 0, into: storage)
      let error = #expect(throws: VideoError.self) {
        try ClipLoader().load(request, form, epoch: 0, into: storage)
      }
      #expect(error?.cause.contains("changed since it was indexed") == true && error?.clip == 5)
    }
  }

  @Test("an image that is cut off or damaged is refused by its own name", arguments: ["mjpeg", "png"])
  func damage(encoder: String) throws {
    try withImages([1, 2, 3], encoder: encoder, { "img_\($0).\(encoder == "png" ? "png" : "jpg")" }) { path in
      let name = path + "/img_2." + (encoder == "png" ? "png" : "jpg")
      let whole = try Data(contentsOf: URL(fileURLWithPath: name))
      for part in [whole.prefix(whole.count / 2), whole.prefix(whole.count - 30), Data("hello".utf8), Data()] {
        try part.write(to: URL(fileURLWithPath: name))
        let error = #expect(throws: VideoError.self, "\(part.count) of \(whole.count)") {
          try ClipProbe.probe(path, deep: true)
        }
        #expect(error?.path == name)
        #expect(throws: Never.self) { try widths(path, [0, 2]) }
      }
    }
  }
}
