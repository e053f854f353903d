import Foundation
import Testing

@testable import Dataset

@Suite struct VideoFolderTests {
  private func kinetics(_ rows: String...) throws -> Annotations {
    let text = "label,youtube_id,time_start,time_end\n" + rows.joined(separator: "\n")
    return try Annotations(parsing: Data(text.utf8), name: "list.csv")
  }

  private func kineticsPath(of clip: AnnotatedClip, among paths: [String]) -> String? {
    KineticsAnnotations().path(of: clip, in: VideoFolder(root: "root", paths: paths))
  }

  @Test(
    "Kinetics clips are found in class folders with spaces or '_', flat, trimmed or by id alone",
    arguments: [
      "air drumming/-a_000001_000011.mp4", "train/air_drumming/-a_000001_000011.mkv", "-a_000001_000011.webm",
      "val/-a_000001_000011.avi", "-a.mov", "air drumming/-a.MP4",
    ])
  func kineticsPlaces(path: String) throws {
    let clip = try kinetics("air drumming,-a,1,11").clips[0]
    #expect(kineticsPath(of: clip, among: ["air_drumming/b.mp4", path]) == path)
  }

  @Test("another class's folder, another clip or another time is no match")
  func kineticsMissing() throws {
    let clip = try kinetics("air drumming,-a,1,11").clips[0]
    let paths = ["yoga/-a_000001_000011.mp4", "air drumming/-a_000002_000012.mp4", "air drumming/b_000001_000011.mp4"]
    #expect(kineticsPath(of: clip, among: paths) == nil)
  }

  @Test("the trimmed file is preferred to the bare id, the class folder to flat, mp4 to the others")
  func preference() throws {
    let clip = try kinetics("yoga,a,1,11").clips[0]
    var paths = ["yoga/a_000001_000011.mp4", "yoga/a_000001_000011.mkv", "a_000001_000011.mp4", "yoga/a.mp4"]
    while let expected = paths.first {
      #expect(kineticsPath(of: clip, among: paths.reversed()) == expected)
      paths.removeFirst()
    }
  }

  @Test("Moments clips are found at their path, below training or validation too, and nowhere else")
  func moments() throws {
    let clip = try Annotations(parsing: Data("clapping/a.mp4,clapping\n".utf8), name: "x").clips[0]
    func path(among paths: [String]) -> String? {
      MomentsAnnotations().path(of: clip, in: VideoFolder(root: "root", paths: paths))
    }
    for place in ["clapping/a.mp4", "training/clapping/a.mp4", "validation/clapping/a.mp4"] {
      #expect(path(among: ["other/a.mp4", place]) == place)
    }
    #expect(path(among: ["a.mp4", "other/a.mp4"]) == nil)
  }

  @Test("a folder is read with its links, without hidden files, other files and endless loops")
  func scan() throws {
    let manager = FileManager.default
    let root = manager.temporaryDirectory.appendingPathComponent(UUID().uuidString)
    defer { try? manager.removeItem(at: root) }
    let yoga = root.appendingPathComponent("yoga")
    try manager.createDirectory(at: yoga, withIntermediateDirectories: true)
    for name in ["a.mp4", ".b.mp4", "c.txt", "-d.MKV"] { try Data().write(to: yoga.appendingPathComponent(name)) }
    try manager.createSymbolicLink(
      atPath: root.appendingPathComponent("e.mp4").path, withDestinationPath: yoga.appendingPathComponent("a.mp4").path)
    try manager.createSymbolicLink(atPath: yoga.appendingPathComponent("loop").path, withDestinationPath: root.path)
    try manager.createSymbolicLink(atPath: root.appendingPathComponent("gone.mp4").path, withDestinationPath: "nowhere")
    #expect(try videoFiles(below: root.path) == ["e.mp4", "yoga/-d.MKV", "yoga/a.mp4"])
  }

  @Test("a data folder that is not there is an I/O error that names it")
  func missingRoot() {
    let error = #expect(throws: DatasetError.self) { try VideoFolder(scanning: "nowhere") }
    #expect(error?.status == .ioError && error?.description.hasPrefix("nowhere: ") == true)
  }

  @Test("every row becomes a candidate or is rejected with a reason")
  func candidates() throws {
    let list = try kinetics("yoga,a,1,11", "yoga,b,1,11", "ballet,a2,1,11", ",c,1,11", "yoga,a,1,11", "yoga,a,5,15")
    let folder = VideoFolder(root: "root", paths: ["yoga/a.mp4", "a2.mp4", "c.mp4"])
    let result = ClipCandidates(of: list, classes: try ClassList(["dance", "yoga"]), folder: folder)
    #expect(result.found.map(\.id) == ["a_000001_000011"])
    #expect(result.found.map(\.path) == ["yoga/a.mp4"])
    #expect(result.found.map(\.label) == [1])
    let reasons = result.rejected.map(\.reason)
    #expect(reasons.count == 5)
    #expect(reasons[0].hasPrefix("missing"))
    #expect(reasons[1] == "its label 'ballet' is none of the 2 classes")
    #expect(reasons[2] == "has no label")
    #expect(reasons[3] == "listed twice, in lines 2 and 6 of list.csv")
    #expect(reasons[4] == "its file is that of the clip 'a_000001_000011'")
  }
}
