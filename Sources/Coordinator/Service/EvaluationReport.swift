// What an evaluation found, class by class: pure functions of the clips' scores. As text for files; the command writes
// them.
import Foundation
import Recipes
import Shared
import Wire

/// The scores of the validation clips, compared with their classes.
struct EvaluationReport {
  /// A clip that could be decoded.
  private struct Clip {
    let id: String
    let labels: [Int]
    let scores: [Float]
    /// How many classes rank above the highest of its own; nil where the scores have no order.
    let place: Int?
    /// The class that ranks first; with a binary loss those of which a yes is more probable than a no.
    let predicted: [Int]
  }

  private let clips: [Clip]
  /// Of each class of the network.
  private let names: [String]
  private let kind: LossRecipe.Kind

  /// - Parameters:
  ///   - scores: of the clips that could be decoded.
  ///   - names: of the data set's classes; the network may have more.
  ///   - clip: the id and the classes of the clip at a position of the index.
  init(
    _ scores: [ClipScores], names: [String], _ kind: LossRecipe.Kind = .softmax,
    clip: (Int) -> (id: String, labels: [Int])
  ) {
    self.kind = kind
    let classes = max(names.count, scores.first?.values.count ?? 0)
    self.names = names + (names.count..<classes).map { "class \($0)" }
    clips = scores.map { entry in
      let (id, labels) = clip(entry.clip)
      let place = rank(ofAny: labels, in: entry.values)
      let predicted =
        switch kind {
        case .softmax: place == nil ? [] : Self.first(entry.values)
        case .binary: entry.values.indices.filter { sigmoid(Double(entry.values[$0])) > 0.5 }
        }
      return Clip(id: id, labels: labels, scores: entry.values, place: place, predicted: predicted)
    }
  }

  private static func first(_ scores: [Float]) -> [Int] {
    let first = scores.indices.max { scores[$0] < scores[$1] || (scores[$0] == scores[$1] && $0 > $1) }
    return first.map { [$0] } ?? []
  }

  /// Clips of which a class is among the first `k`.
  func right(_ k: Int) -> Int { clips.count { $0.place.map { $0 < k } ?? false } }

  /// The mean over the classes that have clips of the part of their clips whose class ranks first; nil without clips.
  /// The accuracy of a class says nothing where clips have several.
  var meanClassAccuracy: Double? {
    guard kind == .softmax else { return nil }
    let counted = classes([1]).filter { $0.clips > 0 }
    guard !counted.isEmpty else { return nil }
    return counted.reduce(0) { $0 + Double($1.right[0]) / Double($1.clips) } / Double(counted.count)
  }

  /// Of each class: its clips, and of how many it is among the first k, for each k.
  private func classes(_ tops: [Int]) -> [(clips: Int, right: [Int])] {
    var found = names.map { _ in (clips: 0, right: tops.map { _ in 0 }) }
    for clip in clips {
      for label in clip.labels where found.indices.contains(label) {
        found[label].clips += 1
        for (number, k) in tops.enumerated() where clip.place.map({ $0 < k }) ?? false {
          found[label].right[number] += 1
        }
      }
    }
    return found
  }

  /// Rows are the true classes, columns the predicted ones. A clip without an order of its scores is in none.
  var confusion: [[Int]] {
    var matrix = names.map { _ in names.map { _ in 0 } }
    for clip in clips {
      guard let predicted = clip.predicted.first, matrix.indices.contains(clip.labels[0]) else { continue }
      matrix[clip.labels[0]][predicted] += 1
    }
    return matrix
  }

  // MARK: Files

  /// `class,clips,top1,…,accuracy`, or with a binary loss `class,clips,average_precision`: a line for each class;
  /// without clips its accuracy or precision is empty.
  func perClass(_ tops: [Int]) -> String {
    if kind == .binary { return averagePrecisions() }
    let header = Self.row(["class", "clips"] + tops.map { "top\($0)" } + ["accuracy"])
    let first = classes([1])
    return header
      + zip(names, zip(classes(tops), first)).map { name, counts in
        let (found, first) = counts
        let accuracy = found.clips == 0 ? "" : fixed(Double(first.right[0]) / Double(found.clips), 6)
        return Self.row([name, "\(found.clips)"] + found.right.map { "\($0)" } + [accuracy])
      }.joined()
  }

  private func averagePrecisions() -> String {
    let found = AveragePrecision.ofClasses(clips.map(\.scores), clips.map(\.labels))
    return Self.row(["class", "clips", "average_precision"])
      + names.indices.map { c in
        let precision = found.indices.contains(c) ? found[c] : nil
        return Self.row([
          names[c], "\(clips.count { $0.labels.contains(c) })",
          precision.map { fixed(AveragePrecision.fraction($0), 6) } ?? "",
        ])
      }.joined()
  }

  /// A line for each true class, a column for each predicted one.
  func confusionTable() -> String {
    Self.row(["true class"] + names)
      + zip(names, confusion).map { name, row in Self.row([name] + row.map { "\($0)" }) }.joined()
  }

  /// The confusion matrix as SVG.
  func picture() -> String { ConfusionPicture.svg(confusion, names: names) }

  /// `clip,class,predicted`, then the logit of each class, or with a binary loss its probability. Several classes are
  /// separated by `; `.
  func scoreTable() -> String {
    Self.row(["clip", "class", "predicted"] + names)
      + clips.map { clip in
        func text(_ classes: [Int]) -> String {
          classes.map { names.indices.contains($0) ? names[$0] : "\($0)" }.joined(separator: "; ")
        }
        let scores = clip.scores.map { kind == .softmax ? "\($0)" : "\(sigmoid(Double($0)))" }
        return Self.row([clip.id, text(clip.labels), text(clip.predicted)] + scores)
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
