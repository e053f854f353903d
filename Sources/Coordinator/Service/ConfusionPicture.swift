// A confusion matrix as a picture, in SVG: no library is needed for it, and it stays sharp at any size.
import Foundation

/// Draws a confusion matrix. Rows are the true classes; a cell is the darker, the larger its part of its row. Axes and
/// shades are named in the picture.
struct ConfusionPicture {
  /// Above so many classes their names are left out.
  private static let mostNames = 60
  /// Pixels of the axes' titles and of the legend, which do not depend on the number of classes.
  private static let (title, legend, legendWidth) = (20, 44, 280)

  private let matrix: [[Int]]
  private let names: [String]
  private let showsNames: Bool
  /// Pixels: a cell's side, the matrix's side, and where the matrix begins, both from the left and from the top.
  private let (cell, side, margin): (Int, Int, Int)

  /// - Parameter matrix: a row for each true class, a column for each predicted one.
  static func svg(_ matrix: [[Int]], names: [String]) -> String { Self(matrix, names: names).document }

  private init(_ matrix: [[Int]], names: [String]) {
    self.matrix = matrix
    self.names = names
    showsNames = matrix.count <= Self.mostNames
    cell = max(2, min(32, 800 / max(1, matrix.count)))
    side = max(1, matrix.count) * cell
    margin = Self.title + 12 + (showsNames ? 7 * (names.map(\.count).max() ?? 0) : 0)
  }

  private var document: String {
    let (width, height) = (margin + max(side, Self.legendWidth) + 8, margin + side + Self.legend)
    let lines = [
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"\(width)\" height=\"\(height)\" "
        + "font-family=\"sans-serif\" font-size=\"12\">",
      "<title>Confusion matrix: rows are the true classes, columns the predicted ones</title>",
      "<rect width=\"\(width)\" height=\"\(height)\" fill=\"white\"/>",
      "<rect x=\"\(margin)\" y=\"\(margin)\" width=\"\(side)\" height=\"\(side)\" fill=\"none\" stroke=\"#999\"/>",
    ]
    return (lines + cells + classNames + axes + shades).joined(separator: "\n") + "\n</svg>\n"
  }

  private var cells: [String] {
    matrix.enumerated().flatMap { row, counts in
      let total = counts.reduce(0, +)
      return counts.enumerated().filter { $0.element > 0 }.flatMap { column, clips in
        let share = Double(clips) / Double(total)
        let (x, y) = (margin + column * cell, margin + row * cell)
        let what = Self.escaped("\(names[row]) as \(names[column]): \(clips) of \(total)")
        let square =
          "<rect x=\"\(x)\" y=\"\(y)\" width=\"\(cell)\" height=\"\(cell)\" fill=\"\(Self.colour(share))\">"
          + "<title>\(what)</title></rect>"
        guard cell >= 16 else { return [square] }
        let colour = share > 0.5 ? "white" : "black"
        return [square, Self.text("\(clips)", x + cell / 2, y + cell / 2 + 4, "middle", "fill=\"\(colour)\"")]
      }
    }
  }

  private var classNames: [String] {
    (showsNames ? names : []).enumerated().flatMap { number, name in
      let middle = margin + number * cell + cell / 2
      return [
        Self.text(name, margin - 6, middle + 4, "end", size), Self.rising(name, middle + 4, margin - 6, "start", size),
      ]
    }
  }

  /// Small enough for the rows.
  private var size: String { "font-size=\"\(min(12, cell - 2))\"" }

  private var axes: [String] {
    let middle = margin + side / 2
    return [Self.text("predicted class", middle, 15, "middle"), Self.rising("true class", 15, middle, "middle")]
  }

  /// What the shades mean: they change evenly from one end to the other.
  private var shades: [String] {
    let (y, bar) = (margin + side + 24, 100)
    return [
      "<defs><linearGradient id=\"shade\"><stop stop-color=\"\(Self.colour(0))\"/>"
        + "<stop offset=\"1\" stop-color=\"\(Self.colour(1))\"/></linearGradient></defs>",
      Self.text("0 %", margin, y, "start"),
      "<rect x=\"\(margin + 30)\" y=\"\(y - 11)\" width=\"\(bar)\" height=\"14\" fill=\"url(#shade)\" stroke=\"#999\"/>",
      Self.text("100 % of the true class", margin + 36 + bar, y, "start"),
    ]
  }

  private static func text(_ text: String, _ x: Int, _ y: Int, _ anchor: String, _ more: String = "") -> String {
    "<text x=\"\(x)\" y=\"\(y)\" text-anchor=\"\(anchor)\" \(more)>\(escaped(text))</text>"
  }

  /// Text that is read from below.
  private static func rising(_ text: String, _ x: Int, _ y: Int, _ anchor: String, _ more: String = "") -> String {
    "<text transform=\"translate(\(x),\(y)) rotate(-90)\" text-anchor=\"\(anchor)\" \(more)>\(escaped(text))</text>"
  }

  /// Light blue at 0, dark blue at 1.
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
