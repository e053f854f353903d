// What `coordinator index` says about a data set, as rows of text; `IndexPage` shows the same rows.
import Dataset
import Foundation
import Shared

/// The figures of a data set's indexes, as a table and as lines about what may be wrong with it.
struct IndexReport {
  /// A name, and its value for training and for validation.
  let rows: [[String]]
  /// What a person should see to.
  let findings: [String]
  /// Why clips were left out.
  let leftOut: [LeftOutClips]
  /// Clips of each class, for training.
  let classes: [Int]

  private static let shownValues = 4
  private static let shownNames = 10

  init(_ indexes: Indexes) throws {
    let train = IndexSummary(of: indexes.train)
    let validation = IndexSummary(of: indexes.validation)
    let both = [train, validation]
    classes = train.classes
    rows = [
      ["", "training", "validation"], ["clips"] + both.map { String($0.clips) },
      ["left out"] + [indexes.rejectedTrain.count, indexes.rejectedValidation.count].map(String.init),
      ["hours"] + both.map(Self.hours), ["frames a clip"] + both.map(Self.frames),
      ["classes with clips"] + both.map { "\($0.classes.count { $0 > 0 }) of \($0.classes.count)" },
      ["clips of a class"] + both.map(Self.classSizes), ["sizes"] + both.map { Self.values($0.sizes) },
      ["frames a second"] + both.map { Self.values($0.rates) }, ["codecs"] + both.map { Self.values($0.codecs) },
      ["parts of longer files"] + both.map { String($0.parts) },
      ["decoded from the start"] + both.map { String($0.fromStart) },
    ]
    findings = Self.findings(indexes, train, validation)
    leftOut = try indexes.leftOut()
  }

  /// The table, the findings and the reasons, as lines.
  var text: String {
    var lines = [TextTable(rows).description]
    lines += findings.map { "warning: \($0)" }
    for list in leftOut {
      lines.append("\(list.list) clips left out, by reason:")
      lines += list.reasons.prefix(Self.shownNames).map { "  \($0.clips)  \($0.reason)" }
      let more = list.reasons.count - Self.shownNames
      if more > 0 { lines.append("  … and \(more) more reasons") }
    }
    return lines.joined(separator: "\n")
  }

  // MARK: Rows

  private static func hours(_ summary: IndexSummary) -> String {
    let hours = summary.seconds / 3600
    let text = hours < 10 ? String(format: "%.2f", hours) : String(format: "%.0f", hours)
    return summary.untimed == 0 ? text : "\(text), without \(summary.untimed) clips that do not say"
  }

  private static func frames(_ summary: IndexSummary) -> String {
    summary.clips == 0
      ? ""
      : summary.fewestFrames == summary.mostFrames
        ? "\(summary.mostFrames)" : "\(summary.fewestFrames) to \(summary.mostFrames)"
  }

  private static func classSizes(_ summary: IndexSummary) -> String {
    let sorted = summary.classes.sorted()
    guard let fewest = sorted.first, let most = sorted.last, summary.clips > 0 else { return "" }
    return fewest == most ? "\(fewest)" : "\(fewest) to \(most), \(sorted[sorted.count / 2]) in the middle"
  }

  /// `h264 (1200), vp9 (3)`
  private static func values(_ tally: Tally) -> String {
    let sorted = tally.sorted
    if sorted.count == 1 { return sorted[0].value }
    var shown = sorted.prefix(shownValues).map { "\($0.value) (\($0.count))" }
    let more = sorted.dropFirst(shownValues)
    if !more.isEmpty { shown.append("\(more.count) more (\(more.reduce(tally.others) { $0 + $1.count }))") }
    return shown.joined(separator: ", ")
  }

  // MARK: Findings

  private static func findings(
    _ indexes: Indexes, _ train: IndexSummary, _ validation: IndexSummary
  ) -> [String] {
    let names = indexes.train.classes
    var findings: [String] = []
    func named(_ classes: [Int], _ counts: [Int]?) -> String {
      classes.prefix(shownNames).map { number in "'\(names[number])'" + (counts.map { " (\($0[number]))" } ?? "") }
        .joined(separator: ", ") + (classes.count > shownNames ? ", …" : "")
    }
    let small = train.smallClasses
    if !small.isEmpty {
      findings.append(
        "\(small.count) of \(names.count) classes have fewer than \(train.tooFew) training clips (\(IndexSummary.fewestClips), "
          + "or a tenth of the class in the middle): \(named(small, train.classes))")
    }
    let unseen = names.indices.filter { validation.clips > 0 && validation.classes[$0] == 0 && train.classes[$0] > 0 }
    if !unseen.isEmpty {
      findings.append("\(unseen.count) classes have no validation clip: \(named(unseen, nil))")
    }
    let leaks = ContentLeaks(training: indexes.train, validation: indexes.validation)
    if leaks.count > 0 {
      let examples = leaks.first.map { "'\($0.validation)' is '\($0.training)'" }.joined(separator: ", ")
      findings.append(
        "a leak: \(leaks.count) validation clips have the content of a training clip, so that their accuracy tells nothing: "
          + examples + (leaks.count > leaks.first.count ? ", …" : ""))
    }
    if leaks.sharedFiles > 0 {
      findings.append(
        "\(leaks.sharedFiles) validation clips are other parts of files that training uses: they may look alike")
    }
    return findings
  }
}
