// Which videos a command line names, and the files of features.
import Foundation
import Synchronization
import TestSupport
import Testing

@testable import Worker

private final class Lines: Sendable {
  private let rest: Mutex<ArraySlice<String>>

  init(_ lines: [String]) { rest = Mutex(lines[...]) }

  func next() -> String? { rest.withLock { $0.popFirst() } }
}

@Suite struct PredictionTests {
  @Test(
    "files, folders below folders, a folder of images and a list stand in their order; a folder without videos is told")
  func arguments() throws {
    let folder = try TemporaryFolder()
    for name in ["v/deep", "i", "none"] {
      try FileManager.default.createDirectory(atPath: folder.path(name), withIntermediateDirectories: true)
    }
    for name in ["v/b.mp4", "v/A.MKV", "v/notes.txt", "v/.hidden.mp4", "v/deep/c.avi", "i/img_1.jpg", "i/img_2.jpg"] {
      try folder.write("", to: name)
    }
    try folder.write("", to: "none/readme")
    let lines = Lines(["x.mp4\r", "", folder.path("i")])
    var list = VideoArguments([folder.path("v"), "gone.mp4", folder.path("none"), "-"], lines: { lines.next() })
    #expect(list.count == nil)
    var paths: [String] = []
    while let entry = list.next() {
      switch entry {
      case .success(let path): paths.append(path)
      case .failure(let problem): paths.append(problem.description)
      }
    }
    #expect(
      paths == [
        folder.path("v/A.MKV"), folder.path("v/b.mp4"), folder.path("v/deep/c.avi"), "gone.mp4",
        "\(folder.path("none")): holds no videos; name another folder", "x.mp4", folder.path("i"),
      ])
    #expect(VideoArguments([folder.path("v"), "gone.mp4"]).count == 4)
  }

  @Test("a file of features is what NumPy writes")
  func numPy() {
    // numpy.save of numpy.array([[1, 2, 3]], "<f4")
    let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 3), }"
    let file = numPyFile([1, 3], [1, 2, 3])
    #expect(file.count == 128 + 12 && file.prefix(10) == Data([0x93, 78, 85, 77, 80, 89, 1, 0, 118, 0]))
    #expect(String(decoding: file[10..<(10 + header.utf8.count)], as: UTF8.self) == header)
    #expect(file[127] == 0x0a && file[100..<127].allSatisfy { $0 == 0x20 })
    #expect(file.suffix(12) == Data([0, 0, 0x80, 0x3f, 0, 0, 0, 0x40, 0, 0, 0x40, 0x40]))
  }
}
