import Foundation
import TestSupport
import Testing

private let cases = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
  .deletingLastPathComponent().deletingLastPathComponent().appendingPathComponent("shared/cases").path

/// Small data sets that were read wrongly before, in a folder beside the project where there is one.
@Suite(
  .timeLimit(.minutes(1)),
  .enabled(if: FileManager.default.fileExists(atPath: cases), "there is no ../shared/cases beside the project"))
struct CaseTests {
  private struct Indexed {
    var finished: Finished
    var train: [String]

    /// The number of the class, the first frame and the count of frames of each clip, by its id.
    var clips: [String: [String]] {
      var clips: [String: [String]] = [:]
      for row in train.map({ $0.components(separatedBy: "\t") }) where row[0] == "clip" {
        clips[row[1]] = [row[3], row[7], row[6]]
      }
      return clips
    }
  }

  /// Indexes a copy of a case.
  private func index(_ name: String, _ change: (String, String)? = nil) throws -> Indexed {
    let folder = try TemporaryFolder()
    let copy = folder.path("case")
    _ = try RunningProcess("/bin/cp", ["-r", "--no-preserve=mode", "\(cases)/\(name)", copy]).finish()
    if let change {
      let recipe = try folder.text("case/recipe.yaml")
      try folder.write(recipe.replacing(change.0, with: change.1), to: "case/recipe.yaml")
    }
    let finished = try RunningProcess(
      "/bin/sh",
      ["-c", "cd '\(copy)' && exec '\(LocalCluster.program("coordinator"))' index --recipe recipe.yaml --run-dir run"]
    ).finish()
    let train = (try? folder.text("case/run/index/train.tsv")) ?? ""
    return Indexed(finished: finished, train: train.components(separatedBy: "\n"))
  }

  @Test("clips that are left out are counted for each list")
  func counts() throws {
    let indexed = try index("left-out-count")
    #expect(indexed.finished.status == 0)
    for list in ["train", "validation"] {
      #expect(indexed.finished.output.contains("\(list): 2 clips, 1 left out"), "\(indexed.finished.output)")
    }
  }

  @Test("labels that are numbers have the order of numbers")
  func numbers() throws {
    let indexed = try index("numeric-labels-order")
    #expect(indexed.train.filter { $0.hasPrefix("class\t") } == (0..<12).map { "class\t\($0)" })
    #expect(indexed.clips.count == 12 && indexed.clips["c10.mp4"]?[0] == "10", "\(indexed.finished.output)")
  }

  @Test("a file of any extension that FFmpeg reads is a clip")
  func extensions() throws {
    let indexed = try index("one-extension-stops-list")
    #expect(Set(indexed.clips.keys) == ["a.m4v", "c1.mp4", "c2.mp4"], "\(indexed.finished.output)")
  }

  @Test("a list of `path label` is told from one with commas, and read where its format is named or left open")
  func spaces() throws {
    let refused = try index("space-separated-list").finished
    #expect(refused.status == 65)
    #expect(refused.output.contains("train.csv:1: read 'c1.mp4 a', expected path.mp4,label"), "\(refused.output)")
    #expect(refused.output.contains("this looks like `path label`: set `data.format: list`"), "\(refused.output)")
    for format in ["list", "auto"] {
      let indexed = try index("space-separated-list", ("format: moments", "format: \(format)"))
      #expect(indexed.clips.count == 2, "\(indexed.finished.output)")
    }
  }

  @Test("a row with times is that part of a longer file")
  func segments() throws {
    let indexed = try index("untrimmed-segments")
    #expect(
      indexed.clips == [
        "vid1_000000_000003": ["1", "0", "75"], "vid1_000003_000007": ["0", "75", "100"],
        "vid1_000007_000010": ["2", "175", "75"],
      ], "\(indexed.finished.output)")
  }

  @Test("a validation list that the recipe names and that is not there is an error")
  func validation() throws {
    let refused = try index("validation-list-typo").finished
    #expect(refused.status == 74 && refused.output.contains("vall.csv: cannot be read"), "\(refused.output)")
  }
}
