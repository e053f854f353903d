// `worker features`: what the classifier sees of videos, as a file of numbers.
import ArgumentParser
import Foundation
import Shared
import Training
import Video

struct FeaturesCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "features", abstract: "Writes the pooled features of videos, a row for each video or window.",
    discussion: """
      The rows are described in a second file, OUT.tsv: the video, and the seconds of its window. A video that cannot be \
      used is reported on standard error and has no row; the others go on, and the exit code is then 65.
      """)

  @OptionGroup var options: ModelOptions
  @Option(help: "The file to write: .npy has the features; .safetensors has features and logits.") var out: String
  @Flag(help: "Also write what the network saw of each row: input [rows, groups*3, size, size]; .safetensors only.")
  var inputs = false

  func validate() throws {
    guard out.hasSuffix(".npy") || out.hasSuffix(".safetensors") else {
      throw ValidationError("--out must end in .npy or .safetensors")
    }
    guard !inputs || out.hasSuffix(".safetensors") else { throw ValidationError("--inputs needs a .safetensors file") }
  }

  func run() throws {
    let model = try options.load()
    var rows: [(path: String, result: ClipResult)] = []
    // What could not be used is known at the end, and told when the others' rows are written.
    let outcome = Result {
      try options.forEachVideo(model) { path, results in
        for var result in results {
          if !inputs { result.input = FloatStorage(count: 0) }
          rows.append((path, result))
        }
      }
    }
    if !rows.isEmpty { try write(rows, model) }
    try outcome.get()
  }

  private func write(_ rows: [(path: String, result: ClipResult)], _ model: TrainedModel) throws {
    let width = rows[0].result.features.count
    let features = rows.flatMap(\.result.features)
    if out.hasSuffix(".npy") {
      try writeFile(numPyFile([rows.count, width], features), to: out)
    } else {
      var file = SafeTensorsWriter()
      file.add("features", .float32, shape: [rows.count, width], features)
      file.add("logits", .float32, shape: [rows.count, model.network.classes], rows.flatMap(\.result.logits))
      if inputs {
        let (frames, size) = (model.recipe.model.groups, model.recipe.model.inputSize)
        file.add(
          "input", .float32, shape: [rows.count, 3 * frames, size, size],
          rows.flatMap { planes($0.result.input, frames: frames, pixels: size * size) })
      }
      try writeFile(file.bytes(), to: out)
    }
    let lines = rows.map { path, result in
      [path, result.from.map { "\($0)" } ?? "", result.to.map { "\($0)" } ?? ""].joined(separator: "\t") + "\n"
    }
    try writeFile(Data(("video\tfrom\tto\n" + lines.joined()).utf8), to: out + ".tsv")
  }

  /// From [T, S, S, 3] to [T, 3, S, S].
  private func planes(_ input: FloatStorage, frames: Int, pixels: Int) -> [Float] {
    (0..<frames).flatMap { frame in
      (0..<3).flatMap { channel in (0..<pixels).map { input[(frame * pixels + $0) * 3 + channel] } }
    }
  }
}

/// A file in NumPy's format, version 1.0: little-endian float32 in row-major order.
///
/// **Source:** `numpy.lib.format` in NumPy's documentation.
func numPyFile(_ shape: [Int], _ values: [Float]) -> Data {
  precondition(shape.count >= 2, "a tuple of one is written in another way")
  let sizes = shape.map(String.init).joined(separator: ", ")
  var header = "{'descr': '<f4', 'fortran_order': False, 'shape': (\(sizes)), }"
  // The numbers begin at a multiple of 64 bytes.
  let rest = (10 + header.utf8.count + 1) % 64
  header += String(repeating: " ", count: rest == 0 ? 0 : 64 - rest) + "\n"
  let length = header.utf8.count
  var data = Data([0x93] + Array("NUMPY".utf8) + [1, 0, UInt8(length & 0xff), UInt8(length >> 8 & 0xff)])
  data.append(contentsOf: header.utf8)
  unsafe values.withUnsafeBytes { unsafe data.append(contentsOf: $0) }
  return data
}
