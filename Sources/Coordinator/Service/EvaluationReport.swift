// What an evaluation found, class by class: pure functions of the clips' scores. As text for files; the command writes
// them.
import Foundation
import Shared
import Wire

/// The scores of the validation clips, compared with their classes.
struct EvaluationReport {
  /// A clip that could be decoded.
  private struct Clip {
    let id: String
    let label: Int
    let scores: [Float]
    /// How many classes rank above its own; nil where the scores have no order.
    let place: Int?
    /// The class that ranks first.
    let predicted: Int?
  }

  private let clips: [Clip]
  /// Of each class of the network.
  private let names: [String]

  /// - Parameters:
  ///   - scores: of the clips that could be decoded.
  ///   - names: of the data set's classes; the network may have more.
  ///   - clip: the id and the class of the clip at a position of the index.
  init(_ scores: [ClipScores], names: [String], clip: (Int) -> (id: String, label: Int)) {
    let classes = max(names.count, scores.first?.values.count ?? 0)
    self.names = names + (names.count..<classes).map { "class \($0)" }
    clips = scores.map { entry in
      let (id, label) = clip(entry.clip)
      let place = rank(of: label, in: entry.values)
      let first = entry.values.indices.max {
        entry.values[$0] < entry.values[$1] || (entry.values[$0] == entry.values[$1] && $0 > $1)
      }
      return Clip(id: id, label: label, scores: entry.values, place: place, predicted: place == nil ? nil : first)
    }
  }

  /// Clips whose class is among the first `k`.
  func right(_ k: Int) -> Int { clips.count { $0.place.map { $0 < k } ?? false } }

  /// The mean over the classes that have clips of the part of their clips whose class ranks first; nil without clips.
  var meanClassAccuracy: Double? {
    let counted = classes([1]).filter { $0.clips > 0 }
    guard !counted.isEmpty else { return nil }
    return counted.reduce(0) { $0 + Double($1.right[0]) / Double($1.clips) } / Double(counted.count)
  }

  /// Of each class: its clips, and of how many it is among the first k, for each k.
  private func classes(_ tops: [Int]) -> [(clips: Int, right: [Int])] {
    var found = names.map { _ in (clips: 0, right: tops.map { _ in 0 }) }
    for clip in clips where found.indices.contains(clip.label) {
      found[clip.label].clips += 1
      for (number, k) in tops.enumerated() where clip.place.map({ $0 < k }) ?? false {
        found[clip.label].right[number] += 1
      }
    }
    return found
  }

  /// Rows are the true classes, columns the predicted ones. A clip without an order of its scores is in none.
  var confusion: [[Int]] {
    var matrix = names.map { _ in names.map { _ in 0 } }
    for clip in clips {
      guard let predicted = clip.predicted, matrix.indices.contains(clip.label) else { continue }
      matrix[clip.label][predicted] += 1
    }
    return matrix
  }

  // MARK: Files

  /// `class,clips,top1,…,accuracy`: a line for each class; without clips its accuracy is empty.
  func perClass(_ tops: [Int]) -> String {
    let header = Self.row(["class", "clips"] + tops.map { "top\($0)" } + ["accuracy"])
    let first = classes([1])
    return header
      + zip(names, zip(classes(tops), first)).map { name, counts in
        let (found, first) = counts
        let accuracy = found.clips == 0 ? "" : fixed(Double(first.right[0]) / Double(found.clips), 6)
        return Self.row([name, "\(found.clips)"] + found.right.map { "\($0)" } + [accuracy])
      }.joined()
  }

  /// A line for each true class, a column for each predicted one.
  func confusionTable() -> String {
    Self.row(["true class"] + names)
      + zip(names, confusion).map { name, row in Self.row([name] + row.map { "\($0)" }) }.joined()
  }

  /// The confusion matrix as SVG.
  func picture() -> String { ConfusionPicture.svg(confusion, names: names) }

  /// `clip,class,predicted`, then the logit of each class.
  func scoreTable() -> String {
    Self.row(["clip", "class", "predicted"] + names)
      + clips.map { clip in
        let predicted = clip.predicted.map { names[$0] } ?? ""
        let label = names.indices.contains(clip.label) ? names[clip.label] : "\(clip.label)"
        return Self.row([clip.id, label, predicted] + clip.scores.map { "\($0)" })
      }.joined()
  }

  /// A line of comma-separated values. **Source:** RFC 4180.
  private static func row(_ fields: [String]) -> String {
    fields.map { field in
      let isPlain = !field.contains { $0 == "," || $0 == "\"" || $0.isNewline }
      return isPlain ? field : "\"" + field.replacingOccurrences(of: "\"", with: "\"\"") + "\""
    }.joined(separator: ",") + "\n"
  }
}
