// From a recipe's words to the clips: data sets without lists, lists that are missing or mistyped, what is said of
// them.
import Foundation
import Shared
import Testing

@testable import Dataset

@Suite struct DataSetTests {
  private func read(
    _ files: [String: String], _ change: (inout DataSetDescription) -> Void = { _ in },
    _ check: (DataSetLists, String) throws -> Void
  ) throws {
    try withFiles(files) { root in
      var data = DataSetDescription()
      data.path = root
      change(&data)
      try check(DataSetLists(data), root)
    }
  }

  private func refusal(_ files: [String: String], _ change: (inout DataSetDescription) -> Void) throws -> String {
    try withFiles(files) { root in
      var data = DataSetDescription()
      data.path = root
      change(&data)
      return message { _ = try DataSetLists(data) }.replacingOccurrences(of: root, with: "ROOT")
    }
  }

  private func videos(_ paths: [String]) -> [String: String] {
    Dictionary(uniqueKeysWithValues: paths.map { ($0, "") })
  }

  // MARK: Without a list

  @Test("class folders are a data set: classes by name, a part of the clips drawn for validation by seed and path")
  func folders() throws {
    let paths = (0..<200).map { "\($0 % 2 == 0 ? "yoga" : "air drumming")/c \($0).mp4" }
    var drawn: Set<String> = []
    try read(videos(paths + ["runs/x/log.txt", "notes.txt", "yoga/sub/d.webm"])) { lists, root in
      #expect(lists.classes.names == ["air drumming", "yoga"] && lists.train.rejected.isEmpty)
      let validation = try #require(lists.validation)
      #expect(lists.train.found.count + validation.found.count == 201 && (8...35).contains(validation.found.count))
      #expect(Set(lists.train.found.map(\.id)).isDisjoint(with: validation.found.map(\.id)))
      #expect(lists.train.found.allSatisfy { $0.path == "../\($0.id)" })
      let clip = try #require(validation.found.first)
      #expect(clipPath(data: root, videos: "validation", path: clip.path) == "\(root)/\(clip.id)")
      drawn = Set(validation.found.map(\.id))
    }
    // Other clips come and go, and each stays on its side; another seed draws others.
    try read(videos(Array(paths.prefix(100)))) { lists, _ in
      #expect(lists.validation.map { Set($0.found.map(\.id)) } == drawn.intersection(paths.prefix(100)))
    }
    try read(videos(paths)) {
      $0.seed = 2
    } _: { lists, _ in
      #expect(lists.validation.map { Set($0.found.map(\.id)) } != drawn)
    }
    try read(videos(paths)) {
      $0.validationFraction = 0
    } _: { lists, _ in
      #expect(lists.validation == nil && lists.train.found.count == 200)
    }
  }

  @Test("folders of their own for validation are used, and folders of images are clips")
  func ownFolders() throws {
    for (train, validation) in [("train", "validation"), ("train", "val"), ("my/data/train", "my/data/val")] {
      try read(videos(["\(train)/yoga/a.mp4", "\(train)/run/f/00001.jpg", "\(validation)/yoga/b.mp4"])) { lists, root in
        #expect(lists.train.found.map(\.id) == ["run/f", "yoga/a.mp4"] && lists.classes.names == ["run", "yoga"])
        let clip = try #require(lists.validation?.found.first)
        #expect(clip.id == "yoga/b.mp4" && clip.labels == [1])
        #expect(clipPath(data: root, videos: "validation", path: clip.path) == "\(root)/\(validation)/yoga/b.mp4")
      }
    }
  }

  @Test("no list and no class folders is an error that names the folder")
  func noFolders() throws {
    #expect(
      try refusal(["notes.txt": ""]) { _ in }
        == "ROOT/train.csv: there is no such list, and ROOT: has no folders named after classes; "
        + "check the recipe's data.path and data.train_list")
  }

  @Test(
    "a data folder that is not there is named before its lists are; class folders named as a list belong in data.path")
  func wrongFolder() throws {
    let files = ["c/yoga/": "", "c/yoga/a.mp4": "", "c/run/": "", "c/run/b.mp4": ""]
    for list in ["train.csv", "other.csv", ""] {
      #expect(
        try refusal(files) {
          ($0.path, $0.trainList, $0.validationList) = ($0.path + "/d", list, "val.csv")
        } == "ROOT/d: there is no such folder; check the recipe's data.path")
    }
    #expect(
      try refusal(files) { $0.trainList = "c" }
        == "ROOT/c: is a folder without lists (.txt, .csv) or shards (.tar); if its folders are the classes, name it in "
        + "data.path, and no list")
  }

  // MARK: Cases of the trials

  private func moments(_ data: inout DataSetDescription) {
    (data.format, data.trainVideos, data.validationVideos) = ("moments", "v", "v")
    data.validationList = "val.csv"
  }

  @Test("case space-separated-list: the format is recognised, and named where another one was asked for")
  func spaceSeparatedList() throws {
    let files = [
      "train.csv": "c1.mp4 a\nc2.mp4 b\n", "val.csv": "c1.mp4 a\nc2.mp4 b\n", "v/c1.mp4": "", "v/c2.mp4": "",
    ]
    #expect(
      try refusal(files, moments)
        == "ROOT/train.csv:1: read 'c1.mp4 a', expected path.mp4,label; this looks like `path label`: "
        + "set `data.format: list`")
    for format in ["auto", "list"] {
      try read(files) {
        moments(&$0)
        $0.format = format
      } _: { lists, root in
        #expect(lists.train.found.map(\.labels[0]) == [0, 1] && lists.validation?.found.count == 2)
        #expect(lists.notes == (format == "auto" ? ["\(root)/train.csv: `path label` (data.format: list)"] : []))
      }
    }
  }

  @Test("case numeric-labels-order: label n is class n")
  func numericLabelsOrder() throws {
    let rows = (0..<12).map { "c\($0).mp4,\($0)\n" }.joined()
    try read(["train.csv": rows, "val.csv": rows].merging(videos((0..<12).map { "v/c\($0).mp4" })) { $1 }, moments) {
      lists, _ in
      #expect(lists.classes.names == (0..<12).map(String.init))
      #expect(lists.train.found.map(\.labels[0]) == Array(0..<12))
    }
  }

  @Test("case one-extension-stops-list: any file that a row names is a candidate")
  func oneExtension() throws {
    let files = [
      "train.csv": "c1.mp4,a\nc2.mp4,b\na.m4v,a\n", "val.csv": "c1.mp4,a\n", "v/c1.mp4": "", "v/c2.mp4": "",
      "v/a.m4v": "",
    ]
    try read(files, moments) { lists, _ in
      #expect(lists.train.found.map(\.path) == ["c1.mp4", "c2.mp4", "a.m4v"] && lists.train.rejected.isEmpty)
    }
  }

  @Test("case untrimmed-segments: three rows share a file, each with its times")
  func untrimmedSegments() throws {
    let rows =
      "label,youtube_id,time_start,time_end,split\nrun,vid1,0,3,train\njump,vid1,3,7,train\nsit,vid1,7,10,train\n"
    try read(["train.csv": rows, "val.csv": rows, "v/vid1.mp4": ""]) {
      moments(&$0)
      $0.format = "kinetics"
    } _: { lists, _ in
      #expect(lists.train.found.map(\.part) == [.seconds(0, 3), .seconds(3, 7), .seconds(7, 10)])
      #expect(lists.train.rejected.isEmpty && lists.validation?.found.count == 3)
    }
  }

  @Test(
    "case validation-list-typo: a validation list that is not there is an error, the built-in name alone may be missing"
  )
  func validationListTypo() throws {
    let files = ["train.csv": "c1.mp4,a\nc2.mp4,b\n", "v/c1.mp4": "", "v/c2.mp4": ""]
    #expect(
      try refusal(files) {
        moments(&$0)
        $0.validationList = "vall.csv"
      } == "ROOT/vall.csv: cannot be read (no such file); check data.train_list and data.validation_list")
    for name in ["", "validation.csv"] {
      try read(files) {
        moments(&$0)
        $0.validationList = name
      } _: { lists, _ in
        #expect(lists.validation == nil && lists.train.found.count == 2)
      }
    }
  }

  @Test("case left-out-count: each list counts its own")
  func leftOutCount() throws {
    let rows = "c1.mp4,a\nc2.mp4,b\ngone.mp4,a\n"
    try read(["train.csv": rows, "val.csv": rows + "gone2.mp4,a\n", "v/c1.mp4": "", "v/c2.mp4": ""], moments) {
      lists, root in
      #expect(lists.train.rejected.count == 1 && lists.validation?.rejected.count == 2)
      #expect(lists.train.rejected[0].id == "gone.mp4")
      #expect(
        lists.train.rejected[0].reason == "missing: no file or folder of that name; searched \(root)/v, \(root)")
    }
  }

  // MARK: What is said

  @Test("a training list none of whose files is there says where was searched, and what else the list may be")
  func nothingFound() throws {
    let files = ["train.csv": "label,youtube_id,time_start,time_end\na,b,1,2\n", "v/c1.mp4": ""]
    let error = try refusal(files) {
      moments(&$0)
      $0.validationList = ""
    }
    #expect(
      error
        == "ROOT/train.csv: no training clip can be used; the first reason: label: missing: no file or folder of that "
        + "name; searched ROOT/v, ROOT; this looks like a Kinetics list (`label,youtube_id,time_start,time_end,split`): "
        + "set `data.format: kinetics`")
  }

  @Test("a folder of videos that the recipe names must be there, with a list or without; built-in ones may be missing")
  func namedFolders() throws {
    let folders = ["train/yoga/a.mp4": "", "train/run/b.mp4": "", "val/yoga/c.mp4": ""]
    let lists = ["train.csv": "a.mp4,x\n", "validation.csv": "a.mp4,x\n", "a.mp4": ""]
    for files in [folders, lists] {
      #expect(
        try refusal(files) { $0.trainVideos = "videos" }
          == "'data.train_videos' is 'videos', but there is no folder ROOT/videos")
      #expect(
        try refusal(files) { $0.validationVideos = "validaton" }
          == "'data.validation_videos' is 'validaton', but there is no folder ROOT/validaton")
      try read(files) { found, _ in #expect(found.validation?.found.count == 1) }
    }
    // A file is no folder; nothing of a validation that is not wanted is asked for.
    #expect(
      try refusal(lists) { $0.trainVideos = "a.mp4" }
        == "'data.train_videos' is 'a.mp4', but there is no folder ROOT/a.mp4")
    try read(lists) {
      ($0.validationList, $0.validationVideos) = ("", "none")
    } _: { found, _ in
      #expect(found.validation == nil && found.train.found.count == 1)
    }
  }

  @Test("a training list without labels is an error")
  func noLabels() throws {
    let error = try refusal(["train.csv": "a.mp4\nb.mp4\n", "train/a.mp4": ""]) { _ in }
    #expect(error.hasPrefix("ROOT/train.csv: "), "\(error)")
  }

  @Test("five lines of recipe suffice for a UCF101 split, and for Something-Something")
  func fiveLines() throws {
    let ucf = [
      "ucfTrainTestlist/trainlist01.txt": "Yoga/v_Yoga_g08_c01.avi 1\nRun/v_Run_g08_c01.avi 2\n",
      "ucfTrainTestlist/testlist01.txt": "Run/v_Run_g01_c01.avi\n", "UCF-101/Yoga/v_Yoga_g08_c01.avi": "",
      "UCF-101/Run/v_Run_g08_c01.avi": "", "UCF-101/Run/v_Run_g01_c01.avi": "",
    ]
    try read(ucf) {
      ($0.trainList, $0.validationList) = ("ucfTrainTestlist/trainlist01.txt", "ucfTrainTestlist/testlist01.txt")
    } _: { lists, root in
      #expect(lists.classes.names == ["Run", "Yoga"] && lists.train.found.map(\.labels[0]) == [1, 0])
      #expect(lists.train.found.map(\.path)[0] == "../UCF-101/Yoga/v_Yoga_g08_c01.avi")
      #expect(lists.validation?.found.map(\.labels[0]) == [0])
    }
    let something = [
      "train.json": #"[{"id":"1","label":"x","template":"Pushing [something]"},{"id":"2","template":"Not [thing]"}]"#,
      "validation.json": #"[{"id":"3","label":"x","template":"Not [thing]"}]"#,
      "labels.json": #"{"Pushing something":"0","Not thing":"1"}"#, "videos/1.webm": "", "videos/2.webm": "",
      "videos/3.webm": "",
    ]
    try read(something) {
      ($0.trainList, $0.validationList, $0.labels) = ("train.json", "validation.json", "labels.json")
    } _: { lists, _ in
      #expect(lists.train.found.map(\.labels[0]) == [0, 1] && lists.validation?.found.map(\.labels[0]) == [1])
    }
  }

  @Test("rows and folders that cannot be read are counted in a note")
  func notes() throws {
    try read(["train.csv": "path,label\na.mp4,x\nb.mp4\n", "train/a.mp4": ""]) { lists, root in
      #expect(lists.train.found.count == 1 && lists.train.rejected.map(\.id) == ["\(root)/train.csv:3"])
      #expect(lists.notes.last == "\(root)/train.csv: 1 of 2 rows cannot be read and are left out")
    }
  }
}
