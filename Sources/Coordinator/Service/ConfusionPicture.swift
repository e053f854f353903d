// A confusion matrix as a picture, in SVG: no library is needed for it, and it stays sharp at any size.
import Foundation

/// Draws a confusion matrix. Rows are the true classes; a cell is the darker, the larger its part of its row.
enum ConfusionPicture {
  /// Above so many classes their names are left out.
  private static let mostNames = 60

  /// - Parameter matrix: a row for each true class, a column for each predicted one.
  static func svg(_ matrix: [[Int]], names: [String]) -> String {
    let count = max(1, matrix.count)
    let cell = max(2, min(32, 800 / count))
    let showsNames = count <= mostNames
    let margin = showsNames ? 12 + 7 * (names.map(\.count).max() ?? 0) : 24
    let side = margin + count * cell + 8
    var lines = [
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"\(side)\" height=\"\(side)\" "
        + "font-family=\"sans-serif\" font-size=\"\(min(12, cell - 2))\">",
      "<title>Confusion matrix: rows are the true classes, columns the predicted ones</title>",
      "<rect width=\"\(side)\" height=\"\(side)\" fill=\"white\"/>",
      "<rect x=\"\(margin)\" y=\"\(margin)\" width=\"\(count * cell)\" height=\"\(count * cell)\" "
        + "fill=\"none\" stroke=\"#999\"/>",
    ]
    for (row, counts) in matrix.enumerated() {
      let total = counts.reduce(0, +)
      for (column, clips) in counts.enumerated() where clips > 0 {
        let share = Double(clips) / Double(total)
        let (x, y) = (margin + column * cell, margin + row * cell)
        lines.append(
          "<rect x=\"\(x)\" y=\"\(y)\" width=\"\(cell)\" height=\"\(cell)\" fill=\"\(colour(share))\">"
            + "<title>\(escaped(names[row])) as \(escaped(names[column])): \(clips) of \(total)</title></rect>")
        guard cell >= 16 else { continue }
        lines.append(
          "<text x=\"\(x + cell / 2)\" y=\"\(y + cell / 2 + 4)\" text-anchor=\"middle\" "
            + "fill=\"\(share > 0.5 ? "white" : "black")\">\(clips)</text>")
      }
    }
    if showsNames {
      for (number, name) in names.enumerated() {
        let middle = margin + number * cell + cell / 2
        lines.append(
          "<text x=\"\(margin - 6)\" y=\"\(middle + 4)\" text-anchor=\"end\">\(escaped(name))</text>")
        lines.append(
          "<text transform=\"translate(\(middle + 4),\(margin - 6)) rotate(-90)\">\(escaped(name))</text>")
      }
    }
    return lines.joined(separator: "\n") + "\n</svg>\n"
  }

  /// White at 0, dark blue at 1.
  private static func colour(_ share: Double) -> String {
    func channel(_ from: Double, _ to: Double) -> Int { Int((from + (to - from) * share).rounded()) }
    return "rgb(\(channel(235, 8)),\(channel(242, 48)),\(channel(250, 107)))"
  }

  private static func escaped(_ text: String) -> String {
    text.map { character in
      switch character {
      case "&": "&amp;"
      case "<": "&lt;"
      case ">": "&gt;"
      case "\"": "&quot;"
      default: "\(character)"
      }
    }.joined()
  }
}
