// `worker predict`: the most probable classes of videos.
import ArgumentParser
import Foundation
import Shared
import Training
import Video

struct PredictCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "predict", abstract: "Prints the most probable classes of videos, as a trained model sees them.",
    discussion: """
      One line for each video, or for each window of it. A video that cannot be used is reported on standard error; the \
      others go on, and the exit code is then 65.
      """)

  @OptionGroup var options: ModelOptions
  @Option(help: "How many classes to print. Default: 5; with loss.kind: binary those of more than 50 %.") var top: Int?
  @Flag(help: "Print a line of JSON for each result.") var json = false

  func validate() throws {
    guard top.map({ (1...1_000_000).contains($0) }) ?? true else {
      throw ValidationError("--top must be from 1 to 1000000")
    }
  }

  func run() throws {
    let model = try options.load()
    try options.forEachVideo(model) { path, error in
      if json { try printLine(Self.text(JSONFailure(video: path, error: error))) }
    } _: { path, results in
      for result in results { try printLine(line(path, result, model)) }
    }
  }

  private struct JSONResult: Encodable {
    struct Class: Encodable {
      var label: Int
      var name: String
      var probability: Double
    }
    var video: String
    var from: Double?
    var to: Double?
    var classes: [Class]
  }

  private struct JSONFailure: Encodable {
    var video: String
    var error: String
  }

  private func line(_ path: String, _ result: ClipResult, _ model: TrainedModel) throws -> String {
    let all = result.probabilities
    // Of equal ones the lower class first, as evaluation counts them.
    let ranked = all.indices.sorted { (all[$0], $1) > (all[$1], $0) }
    let count = top ?? (model.recipe.loss.kind == .binary ? all.count { $0 > 0.5 } : 5)
    let best = ranked.prefix(count)
    if json {
      return try Self.text(
        JSONResult(
          video: path, from: result.from, to: result.to,
          classes: best.map { .init(label: $0, name: model.name(ofClass: $0), probability: all[$0]) }))
    }
    let time = result.from.map { "  " + Self.seconds($0) + "-" + Self.seconds(result.to ?? $0) + " s" } ?? ""
    let classes = best.map { "\(model.name(ofClass: $0)) \(String(format: "%.1f", 100 * all[$0])) %" }
    return "\(path)\(time): " + (classes.isEmpty ? "no class of more than 50 %" : classes.joined(separator: ", "))
  }

  private static func seconds(_ value: Double) -> String { String(format: "%.2f", value) }

  private static func text(_ value: some Encodable) throws -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    return String(decoding: try encoder.encode(value), as: UTF8.self)
  }
}

/// Writes a line at once, so that a pipe has each result as soon as it is there.
/// - Throws: `SharedError(.ioError)` if standard output takes nothing more.
func printLine(_ text: String) throws {
  do { try FileHandle.standardOutput.write(contentsOf: Data((text + "\n").utf8)) } catch {
    throw SharedError(
      .ioError, "standard output: cannot be written; check what reads it, and the space left on its disk")
  }
}
