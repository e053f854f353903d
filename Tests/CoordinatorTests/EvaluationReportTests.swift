import Foundation
import Testing
import Wire

@testable import Coordinator

/// Six clips of three classes, worked out by hand.
@Suite struct EvaluationReportTests {
  private let labels = [0, 0, 1, 1, 1, 2]
  private let report: EvaluationReport

  init() {
    let scores: [[Float]] = [[3, 2, 1], [1, 3, 2], [0, 5, 1], [4, 3, 2], [2, 1, 3], [.nan, 1, 2]]
    let labels = labels
    report = EvaluationReport(
      scores.enumerated().map { ClipScores(clip: $0, values: $1) }, names: ["run, far", "say \"hi\"", "<c>"]
    ) { ("clip\($0)", [labels[$0]]) }
  }

  @Test("top-k and the mean class accuracy; a clip whose scores have no order is wrong")
  func accuracies() throws {
    #expect((1...4).map(report.right) == [2, 3, 5, 5])
    // 1 of 2, 1 of 3, 0 of 1.
    let mean: Double = try #require(report.meanClassAccuracy)
    let expected: Double = (0.5 + 1.0 / 3) / 3
    #expect(abs(mean - expected) < 1e-12)
  }

  @Test("the files: classes, confusion matrix, scores; names are quoted where CSV needs it")
  func files() {
    let (far, hi) = ("\"run, far\"", "\"say \"\"hi\"\"\"")
    let classes = [
      "class,clips,top1,top2,accuracy", "\(far),2,1,1,0.500000", "\(hi),3,1,2,0.333333", "<c>,1,0,0,0.000000",
    ]
    #expect(report.perClass([1, 2]) == classes.map { $0 + "\n" }.joined())
    #expect(report.confusion == [[1, 1, 0], [1, 1, 1], [0, 0, 0]])
    let table = ["true class,\(far),\(hi),<c>", "\(far),1,1,0", "\(hi),1,1,1", "<c>,0,0,0"]
    #expect(report.confusionTable() == table.map { $0 + "\n" }.joined())
    let rows = report.scoreTable().split(separator: "\n")
    #expect(rows[1] == "clip0,\"run, far\",\"run, far\",3.0,2.0,1.0" && rows[6] == "clip5,<c>,,nan,1.0,2.0")
  }

  @Test("the picture is well-formed XML with a cell for each count that is not 0, and names its axes and shades")
  func picture() throws {
    let svg = report.picture()
    let cells = svg.components(separatedBy: "<rect").count - 1
    // The paper, the frame, and the bar of shades.
    #expect(cells == 3 + 5)
    for text in [">true class<", ">predicted class<", ">0 %<", ">100 % of the true class<"] {
      #expect(svg.contains(text))
    }
    #expect(svg.contains("&lt;c&gt;") && svg.contains("say &quot;hi&quot; as &lt;c&gt;: 1 of 3"))
    for tag in ["svg", "title", "text"] {
      #expect(svg.components(separatedBy: "<\(tag)").count == svg.components(separatedBy: "</\(tag)>").count)
    }
    // Hundreds of classes, without their names.
    let many = ConfusionPicture.svg(
      (0..<400).map { row in (0..<400).map { $0 == row ? 1 : 0 } }, names: (0..<400).map { "class \($0)" })
    #expect(many.components(separatedBy: "<text").count - 1 == 4 && many.utf8.count < 100_000)
    #expect(many.contains("class 7 as class 7: 1 of 1"))
  }

  @Test("with a binary loss: average precisions, probabilities, and all classes above one half")
  func binary() {
    let report = EvaluationReport(
      [[2, -1, 0], [-3, 4, 1], [1, 2, -2]].enumerated().map { ClipScores(clip: $0, values: $1) },
      names: ["a", "b", "c"], .binary
    ) { ("clip\($0)", [[0, 1], [1], [1]][$0]) }
    #expect((1...2).map(report.right) == [3, 3] && report.meanClassAccuracy == nil)
    #expect(
      report.perClass([1])
        == "class,clips,average_precision\na,1,1.000000\nb,3,1.000000\nc,0,\n")
    let rows = report.scoreTable().split(separator: "\n").map {
      $0.split(separator: ",", omittingEmptySubsequences: false)
    }
    #expect(
      rows.map { $0[1] } == ["class", "a; b", "b", "b"] && rows.map { $0[2] } == ["predicted", "a", "b; c", "a; b"])
    #expect(rows[1][5] == "0.5" && rows[1][3].hasPrefix("0.88079707797788"))
  }

  @Test("classes that the network has and the data set has not get numbers; no clips, no accuracy")
  func otherClasses() {
    let found = EvaluationReport([ClipScores(clip: 0, values: [0, 1])], names: ["a"]) { _ in ("x", [0]) }
    #expect(found.perClass([1]) == "class,clips,top1,accuracy\na,1,0,0.000000\nclass 1,0,0,\n")
    #expect(EvaluationReport([], names: ["a"]) { _ in ("x", [0]) }.meanClassAccuracy == nil)
  }
}
