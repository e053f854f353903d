// The costs of all networks side by side, for several numbers of frames: `worker profile --all`.
import BLVNet
import Foundation
import Recipes
import Shared

/// A table of the networks with one recipe's settings, as far as those mean something for each.
struct ProfileTable {
  let recipe: Recipe
  let frames: [Int]
  /// Whether to run a step of each.
  let measures: Bool

  private struct Row {
    let architecture: ModelRecipe.Architecture
    let frames: Int
    let profile: Profile
    let plannedBytes: Int
    let measured: StepMeasurement?
  }

  /// Prints a line for each network as soon as it is known, then the ratios to bLVNet.
  func print() throws {
    Swift.print(
      line(["network", "frames", "parameters", "multiply-adds", "planned MB", "measured MB", "seconds a clip"]))
    var rows: [Row] = []
    for architecture in ModelRecipe.Architecture.allCases {
      for frames in frames {
        var model = recipe.model.relative(architecture)
        model.groups = frames
        if let mistake = model.mistakes.first {
          Swift.print(line([architecture.rawValue, "\(frames)"]) + "  left out: \(mistake)")
          continue
        }
        let network = try Network(model, engine: recipe.makeEngine())
        let planned = Lane(network, maximumClips: 1).memoryBytes
        let row = Row(
          architecture: architecture, frames: frames, profile: Profile(network), plannedBytes: planned,
          measured: measures ? try StepMeasurement(network) : nil)
        rows.append(row)
        Swift.print(
          line([
            architecture.rawValue, "\(frames)", "\(row.profile.parameters)", "\(row.profile.convolutionMultiplyAdds)",
            megabytes(planned), row.measured.map { megabytes($0.bytes) } ?? "-",
            row.measured.map { String(format: "%.2f", $0.seconds) } ?? "-",
          ]))
        fflush(nil)
      }
    }
    printRatios(rows)
  }

  /// What each network takes for what bLVNet-TAM takes, at equal frames.
  private func printRatios(_ rows: [Row]) {
    Swift.print("\nby blvnet-tam at equal frames:")
    Swift.print(
      line(["network", "frames", "parameters", "multiply-adds", "planned MB", "measured MB", "seconds a clip"]))
    for row in rows where row.architecture != .blvnetTAM {
      guard let base = rows.first(where: { $0.architecture == .blvnetTAM && $0.frames == row.frames }) else { continue }
      func ratio(_ a: Int, _ b: Int) -> String { String(format: "%.2f", Double(a) / Double(b)) }
      var cells = [
        row.architecture.rawValue, "\(row.frames)", ratio(row.profile.parameters, base.profile.parameters),
        ratio(row.profile.convolutionMultiplyAdds, base.profile.convolutionMultiplyAdds),
        ratio(row.plannedBytes, base.plannedBytes), "-", "-",
      ]
      if let own = row.measured, let other = base.measured {
        cells[5] = ratio(own.bytes, other.bytes)
        cells[6] = String(format: "%.2f", own.seconds / other.seconds)
      }
      Swift.print(line(cells))
    }
  }

  private func line(_ cells: [String]) -> String {
    let widths = [10, 7, 12, 16, 12, 13, 15]
    return zip(cells, widths).enumerated().map { column, cell in
      let space = String(repeating: " ", count: max(0, cell.1 - cell.0.count))
      return column == 0 ? cell.0 + space : space + cell.0
    }.joined()
  }
}

func megabytes(_ bytes: Int) -> String { String(format: "%.1f", Double(bytes) / 1e6) }
