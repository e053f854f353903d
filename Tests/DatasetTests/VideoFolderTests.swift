// The folders in which files are looked for: links, loops, hidden files, folders that cannot be read, odd names.
import Foundation
import Testing

@testable import Dataset

@Suite struct VideoFolderTests {
  @Test("a folder is read with its links, without hidden files and endless loops; a folder of images is one clip")
  func scan() throws {
    try withFiles([
      "yoga/a.mp4": "", "yoga/.b.mp4": "", "yoga/c.txt": "", "yoga/-d.MKV": "", "yoga/frames.v1/00001.jpg": "",
      "yoga/frames.v1/00002.jpg": "", "yoga/e.mp4": "", "yoga/e.jpg": "",
    ]) { root in
      let manager = FileManager.default
      try manager.createSymbolicLink(atPath: "\(root)/f.mp4", withDestinationPath: "\(root)/yoga/a.mp4")
      try manager.createSymbolicLink(atPath: "\(root)/yoga/loop", withDestinationPath: root)
      try manager.createSymbolicLink(atPath: "\(root)/gone.mp4", withDestinationPath: "nowhere")
      var tree = FileTree()
      tree.scan(root, prefix: "", DiskReader())
      var paths: [String] = []
      tree.forEachSorted { paths.append($0) }
      #expect(paths == ["f.mp4", "yoga/-d.MKV", "yoga/a.mp4", "yoga/e.mp4", "yoga/frames.v1"])
      #expect(tree.paths(stem: "frames.v1") == ["yoga/frames.v1"] && tree.paths(stem: "frames").isEmpty)
      #expect(tree.unreadable.isEmpty)
      let folder = try VideoFolder(scanning: root)
      #expect(folder.paths(stem: "a") == ["yoga/a.mp4"] && folder.file(named: "yoga/loop/f.mp4") == "yoga/loop/f.mp4")
      #expect(folder.contains("yoga/.b.mp4") && !folder.contains("gone.mp4"))
    }
  }

  @Test("a data folder that is not there is an I/O error that names it")
  func missingRoot() {
    let error = #expect(throws: DatasetError.self) { _ = try VideoFolder(scanning: "nowhere") }
    #expect(error?.status == .ioError && error?.description.hasPrefix("nowhere: cannot be read (No such file") == true)
  }

  @Test("folders that cannot be read are passed over with a word, by id and by path")
  func unreadable() throws {
    var files = ListedFiles(["/data/train/yoga/a.mp4", "/data/train/lost+found/x.mp4", "/data/train/run/b.mp4"])
    files.forbidden = ["/data/train/lost+found"]
    let folder = try VideoFolder(root: "/data/train", data: "/data", lists: nil, isOptional: false, reader: files)
    #expect(folder.paths(stem: "a") == ["yoga/a.mp4"] && folder.paths(stem: "x").isEmpty)
    #expect(folder.unreadable == ["/data/train/lost+found (Permission denied)"])
    let paths = try VideoFolder(root: "/data/train", data: "/data", lists: nil, isOptional: false, reader: files)
    #expect(paths.file(named: "run/b.mp4") == "run/b.mp4" && paths.unreadable.isEmpty)
    #expect(paths.file(named: "lost+found/x.mp4") == nil)
    #expect(paths.unreadable == ["/data/train/lost+found (Permission denied)"])
  }

  @Test("names differ by their bytes: case, composition and blanks are part of them")
  func names() throws {
    let folder = VideoFolder(root: "r", paths: ["A.mp4", "é.mp4", " b .mp4", "c\\d.mp4", "x..mp4"])
    #expect(folder.file(named: "a.mp4") == nil && folder.file(named: "A.mp4") == "A.mp4")
    #expect(folder.file(named: "e\u{301}.mp4") == nil && folder.file(named: "\u{E9}.mp4") == "\u{E9}.mp4")
    #expect(folder.file(named: " b .mp4") == " b .mp4" && folder.file(named: "c\\d.mp4") == "c\\d.mp4")
    #expect(folder.paths(stem: "x.") == ["x..mp4"])
  }

  @Test("every row becomes a candidate or is rejected with a reason, and the folders searched")
  func candidates() throws {
    let list = try Annotations(
      "label,youtube_id,time_start,time_end\nyoga,a,1,11\nyoga,b,1,11\nballet,a2,1,11\n,c,1,11\nyoga,a,1,11\nyoga,a,5,15\n"
        + "dance,a,1,11\n")
    let folder = VideoFolder(root: "root", paths: ["yoga/a.mp4", "a2.mp4", "c.mp4", "yoga/a_000005_000015.mp4"])
    let result = try ClipCandidates(of: list, classes: try ClassList(["dance", "yoga"]), folder: folder)
    #expect(result.found.map(\.id) == ["a_000001_000011", "a_000005_000015"] && result.rows == 7)
    #expect(result.found.map(\.path) == ["yoga/a.mp4", "yoga/a_000005_000015.mp4"])
    #expect(result.found.map(\.labels[0]) == [1, 1] && result.found.map(\.part) == [.seconds(1, 11), .whole])
    #expect(
      result.rejected.map(\.reason) == [
        "missing: no file or folder of that name; searched root", "its label 'ballet' is none of the 2 classes",
        "has no label", "listed twice, in lines 2 and 6 of list.csv",
        "missing: no file or folder of that name; searched root",
      ])
  }

  @Test("two rows that lead to the same part of one file, or to one id, are one clip; a rejected row owns nothing")
  func owners() throws {
    let list = try Annotations("a.mp4,x\n./a.mp4,x\na.mp4,y\n")
    let classes = try ClassList(["x", "y"])
    let result = try ClipCandidates(of: list, classes: classes, folder: VideoFolder(root: "r", paths: ["a.mp4"]))
    #expect(
      result.rejected.map(\.reason) == [
        "its file is that of the clip 'a.mp4'", "listed twice, in lines 1 and 3 of list.csv, as 'x' and as 'y'",
      ])
    let later = try Annotations("a.mp4,strange\na.mp4,y\n")
    let found = try ClipCandidates(of: later, classes: classes, folder: VideoFolder(root: "r", paths: ["a.mp4"]))
    #expect(found.found.map(\.labels[0]) == [1] && found.rejected.count == 1)
  }

  @Test("candidates come back as they were added, whatever columns they need")
  func columns() {
    let clips = [
      ClipCandidate(id: "a", path: "a", labels: [0]), ClipCandidate(id: "b", path: "x/b", labels: [1, 5, 2]),
      ClipCandidate(id: "c", path: "c", labels: [3], part: .seconds(1, 2)),
      ClipCandidate(id: "d", path: "s.tar", labels: [0], bytes: 512..<1024),
      ClipCandidate(id: "é", path: "", labels: [1]),
    ]
    var list = CandidateList()
    for (line, clip) in clips.enumerated() { list.append(clip, line: line + 1) }
    #expect(list.count == 5 && Array(list.prefix(4)) == Array(clips.prefix(4)) && list.number(id: "é") == 4)
    #expect(list.number(of: ClipFile(path: "s.tar", bytes: 512..<1024)) == 3)
    #expect(list.number(of: ClipFile(path: "s.tar", bytes: 0..<512)) == nil && list.line(2) == 3)
    for number in 0..<10_000 {
      list.append(ClipCandidate(id: "id \(number)", path: "p/\(number)", labels: [number]), line: 1)
    }
    #expect((0..<10_000).allSatisfy { list.number(id: "id \($0)") == $0 + 5 && list[$0 + 5].path == "p/\($0)" })
  }
}

@Suite struct ClipPathTests {
  @Test(
    "an index's path leads from the videos folder to the file, by name alone",
    arguments: [
      ("/d", "train", "a/b.mp4", "/d/train/a/b.mp4"), ("/d", "train", "../v/b.mp4", "/d/v/b.mp4"),
      ("/d", "x/train", "../../v/b.mp4", "/d/v/b.mp4"), ("/d", "train", "/e/b.mp4", "/e/b.mp4"),
      ("/d", "/v", "b.mp4", "/v/b.mp4"), (".", "v", "b.mp4", "./v/b.mp4"), ("d", "v", "../b.mp4", "d/b.mp4"),
      ("/d", "", "b.mp4", "/d/b.mp4"), ("/d", ".", "b.mp4", "/d/b.mp4"), ("/d", "./v", "../b.mp4", "/d/b.mp4"),
    ])
  func paths(data: String, videos: String, path: String, expected: String) {
    #expect(clipPath(data: data, videos: videos, path: path) == expected)
  }
}
