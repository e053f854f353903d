// The formats of public data sets and of other trainers: recognised, read, and their files found.
import Foundation
import Testing

@testable import Dataset

@Suite struct PublicFormatTests {
  private func expectFormat(_ name: String, _ text: String, file: String = "list.txt") throws -> Annotations {
    let list = try Annotations(text, name: file)
    #expect(list.source.name == name)
    return list
  }

  @Test("Moments: no header, labels with '+', rows without a label, below training too, any extension")
  func moments() throws {
    let list = try expectFormat("moments", "playing+music/a b_1.mp4,playing+music,3,1\nx.m4v\n")
    #expect(try list.clips.map(\.id) == ["playing+music/a b_1.mp4", "x.m4v"])
    #expect(try list.clips.map(\.label) == ["playing+music", nil])
    for place in ["playing+music/a b_1.mp4", "training/playing+music/a b_1.mp4", "validation/playing+music/a b_1.mp4"] {
      #expect(try list.files(among: ["other/a b_1.mp4", place])[0]?.path == place)
    }
    #expect(try list.files(among: ["a b_1.mp4", "other/a b_1.mp4"])[0] == nil)
  }

  @Test("Something-Something V2: templates in brackets, labels with commas, numbers as ids, test ids, .webm")
  func somethingV2() throws {
    let list = try expectFormat(
      "something-v2",
      """
      [
        {"id": "78687", "label": "holding potato next to vicks vaporub bottle",
         "template": "Holding [something] next to [something]", "placeholders": ["potato", "vicks vaporub bottle"]},
        {"id":42326,"label":"x","template":"Putting [something], [something] and [something] on the table"},
        {"id": "7", "template": "\\u00dc [something similar to \\"other things\\" that are already on the table]"},
        {"label": "no id"},
        {"id": "1420"}
      ]
      """)
    #expect(
      try list.clips.map(\.label) == [
        "Holding something next to something", "Putting something, something and something on the table",
        "Ü something similar to \"other things\" that are already on the table", nil,
      ])
    #expect(try list.clips.map(\.place.line) == [2, 4, 5, 7])
    #expect(try list.problems == [#"list.txt:6: read '{"label": "no id"}', expected {"id": "…", "template": "…"}"#])
    let paths = ["20bn-something-something-v2/78687.webm", "42326.webm", "7/00001.jpg", "7/00002.jpg", "1420.json"]
    #expect(
      try list.files(among: paths).map { $0?.path } == [
        "20bn-something-something-v2/78687.webm", "42326.webm", "7", nil,
      ])
    let classes = try ClassList(
      parsing: Data(
        (#"{"Holding something next to something": "1", "Putting something, something and something on the table":"2","#
          + #""Ü something similar to \"other things\" that are already on the table":"0"}"#).utf8),
      name: "labels.json", training: list)
    #expect(try list.clips.compactMap { $0.label.flatMap(classes.number) } == [1, 2, 0] && classes.warnings.isEmpty)
  }

  @Test("a JSON list that is cut off is an error with its line")
  func cutOff() {
    #expect(
      message { _ = try Annotations("[{\"id\": \"1\"},\n{\"id\"", name: "train.json") }
        == "train.json:2: the JSON ends too early: the file is cut off")
  }

  @Test("Something-Something V1: `id;label`, test ids alone, folders of images")
  func somethingV1() throws {
    let list = try expectFormat(
      "something-v1",
      "100218;Something falling like a feather or paper\n24413;Lifting [part], then letting it drop\n7\n")
    #expect(
      try list.clips.map(\.label) == [
        "Something falling like a feather or paper", "Lifting [part], then letting it drop", nil,
      ])
    let paths = ["100218/00001.jpg", "20bn-something-something-v1/24413/00001.jpg", "7/readme.txt"]
    #expect(try list.files(among: paths).map { $0?.path } == ["100218", "20bn-something-something-v1/24413", "7"])
  }

  @Test("UCF101: the class is the folder, so that test lists have labels; classInd numbers from 1")
  func ucf101() throws {
    let train = try expectFormat(
      "ucf101", "ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi 1\r\nHandstandPushups/v_HandStandPushups_g01_c01.avi 2\r\n"
    )
    let test = try expectFormat("ucf101", "ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01.avi\n")
    #expect(try test.clips.map(\.label) == ["ApplyEyeMakeup"])
    #expect(try ClassList(labelsOf: train).names == ["ApplyEyeMakeup", "HandstandPushups"])
    let classes = try ClassList(
      parsing: Data("1 ApplyEyeMakeup\r\n2 HandstandPushups\r\n".utf8), name: "classInd.txt", training: train)
    #expect(classes.names == ["ApplyEyeMakeup", "HandstandPushups"] && classes.warnings.isEmpty)
    let paths = [
      "UCF-101/ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi", "HandstandPushups/v_HandStandPushups_g01_c01.avi",
    ]
    #expect(try train.files(among: paths).map { $0?.path } == paths)
    #expect(try train.files(among: ["UCF-101/ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.mp4"])[0] == nil)
  }

  @Test("HMDB51: a folder or a pattern of split files, 1 for training, 2 for test, odd names")
  func hmdb51() throws {
    try withFiles([
      "splits/brush_hair_test_split1.txt": "#20_Rhythm_clap!&_u_nm_np1_0.avi 1 \nb (1).avi 2 \nc.avi 0 \n",
      "splits/sit_test_split1.txt": "d.avi 2\ne.avi 1\n", "splits/sit_test_split2.txt": "d.avi 1\n",
    ]) { root in
      for name in ["splits", "splits/*_test_split1.txt", "splits/{brush_hair,sit}_test_split1.txt"] {
        let train = try Annotations(AnnotationList(contentsOf: "\(root)/\(name)"))
        #expect(train.source.name == "hmdb51")
        #expect(try train.clips.map(\.id) == ["brush_hair/#20_Rhythm_clap!&_u_nm_np1_0.avi", "sit/e.avi"])
        let test = try Annotations(AnnotationList(contentsOf: "\(root)/\(name)", role: .validation))
        #expect(try test.clips.map(\.id) == ["brush_hair/b (1).avi", "sit/d.avi"])
        #expect(try test.clips.map(\.label) == ["brush_hair", "sit"])
        #expect(
          try test.files(among: ["hmdb51_org/sit/d.avi", "brush_hair/b (1).avi"]).map { $0?.path } == [
            "brush_hair/b (1).avi", "hmdb51_org/sit/d.avi",
          ])
      }
      let second = try Annotations(AnnotationList(contentsOf: "\(root)/splits/*_test_split2.txt"))
      #expect(try second.clips.map(\.id) == ["sit/d.avi"])
    }
  }

  @Test("the reference implementation's lists: `path start end label…`, by blanks or `;`, test lists, several labels")
  func reference() throws {
    let list = try expectFormat("frames", "air drumming/a b;1;300;3\nyoga/c;5;90;0\n")
    #expect(try list.clips.map(\.id) == ["air drumming/a b_1_300", "yoga/c_5_90"])
    #expect(
      try list.clips.map(\.part) == [.frames(1, 300), .frames(5, 90)] && list.clips.map(\.labels) == [["3"], ["0"]])
    let blanks = try expectFormat("frames", "100218 1 39 5\nclip 12 1 30 5 7.0\n")
    #expect(
      try blanks.clips.map(\.video) == ["100218", "clip 12"] && blanks.clips.map(\.labels) == [["5"], ["5", "7"]])
    let test = try expectFormat("frames", "100218 1 39\n7 1 45\n")
    #expect(try test.clips.map(\.labels) == [[], []] && test.clips.map(\.part) == [.frames(1, 39), .frames(1, 45)])
    #expect(
      try list.files(among: ["air drumming/a b/00001.jpg", "yoga/c/1.png"]).map { $0?.part } == [
        .frames(1, 300), .frames(5, 90),
      ])
    let videos = try Annotations("a.mp4 1 300 3\nb.mp4 5 90 0\n", "frames")
    #expect(try videos.files(among: ["a.mp4", "b.mp4"]).map { $0?.part } == [.whole, .frames(4, 89)])
  }

  @Test("a row of frames that are none is left out, with what was expected")
  func noFrames() throws {
    let list = try Annotations("clip 12 1 30 5 7.0\n200 9 3 1\na 1 5 2\n", "frames")
    #expect(try list.clips.map(\.video) == ["clip 12", "a"] && list.clips[0].labels == ["5", "7"])
    #expect(
      try list.problems == ["list.csv:2: read '200 9 3 1', the frames 9 to 3 are none; expected path start end label"])
  }

  @Test("TSM's and MMAction2's rawframes: `path frames label…`")
  func tsm() throws {
    let list = try expectFormat("tsm", "v_ApplyEyeMakeup_g08_c01 120 0\nsome dir/b 163 27\n")
    #expect(try list.clips.map(\.video) == ["v_ApplyEyeMakeup_g08_c01", "some dir/b"])
    #expect(
      try list.clips.map(\.part) == [.frames(1, 120), .frames(1, 163)] && list.clips.map(\.label) == ["0", "27"])
    #expect(
      try list.files(among: ["v_ApplyEyeMakeup_g08_c01/img_00001.jpg"])[0]
        == ClipFile(path: "v_ApplyEyeMakeup_g08_c01", part: .frames(1, 120)))
    let several = try expectFormat("tsm", "a/b 163 1 3 5\nc 98 2\n")
    #expect(try several.clips.map(\.labels) == [["1", "3", "5"], ["2"]])
  }

  @Test("MMAction2's rawframes with an offset: `path offset frames label`")
  func offset() throws {
    let list = try expectFormat("rawframes", "some/directory-1 12 163 3\nsome/directory-2 0 98 0\n")
    #expect(try list.clips.map(\.part) == [.frames(13, 175), .frames(1, 98)])
    #expect(try list.clips.map(\.label) == ["3", "0"])
  }

  @Test("MMAction2's videos, and lists of videos with several labels, are `list`")
  func videos() throws {
    let list = try expectFormat("list", "some/a.mp4 3 7\nsome/b.mp4 1 4\n")
    #expect(try list.clips.map(\.labels) == [["3", "7"], ["1", "4"]])
    let found = try ClipCandidates(
      of: list, classes: ClassList(labelsOf: list), folder: VideoFolder(root: "r", paths: ["some/a.mp4", "some/b.mp4"]))
    // 1 to 7: the first class is label 1.
    #expect(found.found.map(\.labels) == [[2, 6], [0, 3]] && found.found.map(\.labels[0]) == [2, 0])
  }
}
