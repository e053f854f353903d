// Folders in which the frames of a clip lie beside other pictures, from the list to the page.
import Dataset
import Foundation
import Recipes
import TestSupport
import Testing

@testable import Coordinator
@testable import Video

@Suite(.timeLimit(.minutes(1))) struct ImageNamesTests {
  /// A picture of 2x2 pixels of one colour, as a BMP file.
  private func picture(_ colour: UInt8) -> Data {
    func number(_ value: UInt32, _ bytes: Int) -> [UInt8] { (0..<bytes).map { UInt8(value >> (8 * $0) & 255) } }
    // Each row of two pixels is padded to eight bytes.
    let pixels = Array(repeating: [UInt8](repeating: colour, count: 6) + [0, 0], count: 2).flatMap { $0 }
    let header = number(40, 4) + number(2, 4) + number(2, 4) + number(1, 2) + number(24, 2) + number(0, 24)
    let size = UInt32(14 + header.count + pixels.count)
    return Data(
      Array("BM".utf8) + number(size, 4) + number(0, 4) + number(UInt32(14 + header.count), 4) + header + pixels)
  }

  @Test("a template says which pictures are frames, in this process and in decoders", arguments: [false, true])
  func mixtures(isolated: Bool) throws {
    let folder = try TemporaryFolder()
    let clips = [
      "a": ["rgb_00001.bmp", "rgb_00002.bmp", "rgb_00003.bmp", "rgb_1.bmp", "ir_00001.bmp", "ir_00002.bmp"],
      "b": ["img_1.bmp", "img_2.bmp", "img_3.bmp"],
    ]
    for (clip, names) in clips {
      try FileManager.default.createDirectory(
        atPath: folder.path("data/train/\(clip)"), withIntermediateDirectories: true)
      for (number, name) in names.enumerated() {
        try picture(UInt8(10 * number)).write(to: URL(fileURLWithPath: folder.path("data/train/\(clip)/\(name)")))
      }
    }
    try folder.write("a 3 0\nb 3 1\n", to: "data/train.txt")
    var recipe = Recipe()
    (recipe.data.format, recipe.data.path) = ("tsm", folder.path("data"))
    (recipe.data.trainList, recipe.data.validationList) = ("train.txt", "")
    let program = RunningProcess.built("SeparateDecoder") ?? "SeparateDecoder"
    let decoders = isolated ? DecodingPool(DecodingPool.Settings(command: [program])) : .inThisProcess()
    func index(_ names: String) throws -> Indexes {
      recipe.data.imageNames = names
      return try IndexBuilder(recipe: recipe, folder: IndexFolder(folder.path("index")), decoders: decoders) { _, _ in }
        .build()
    }

    // What is known of the folders under one template counts for nothing under another.
    for (names, taken, reason) in [
      (
        "", "b",
        "'ir_00001.bmp' and 'rgb_00001.bmp' have the same number; data.image_names can say which are the frames"
      ),
      ("rgb_{:05d}.bmp", "a", "('rgb_{:05d}.bmp'); the folder holds 'img_1.bmp' and 2 more"),
      ("img_{}.bmp", "b", "('img_{}.bmp'); the folder holds 'ir_00001.bmp' and 5 more"),
    ] {
      let indexes = try index(names)
      #expect(indexes.train.clips.map { "\($0.id) \($0.frames)" } == ["\(taken) 3"])
      let rejected = try indexes.rejectedTrain.prefix(9)
      #expect(rejected.count == 1 && rejected[0].reason.contains(reason), "\(rejected)")
      let page = try IndexPage(IndexReport(indexes), indexes, recipe, decoders: decoders) { _, _ in }.html
      #expect(page.components(separatedBy: "data:image/jpeg;base64,").count == 4)
      #expect(try IndexFolder(folder.path("index")).isOf(recipe))
    }
    recipe.data.imageNames = "img_%d.bmp"
    #expect(try !IndexFolder(folder.path("index")).isOf(recipe))
  }

  @Test("without a template, the rules of an index are those of the time before templates")
  func sameRules() throws {
    let rules =
      "VideoRules(pixels: 67108864, packets: 4000000, bytes: 1099511627776, seconds: 1800.0, acceptsTruncated: false)"
    #expect(ProbedVideo.rules(Recipe()) == rules + "\n" + ProbedVideo.prober)
  }
}
