// A program that tests start to decode for them, as `worker` and `coordinator` start themselves. It also measures what
// decoding in another process costs.
import Foundation
import Glibc
import Shared
import Video

/// - `SeparateDecoder load FILE FRAMES SIZE`: loads a clip in another process again and again, with a line for each, until
///   it is killed.
/// - `SeparateDecoder bench FOLDER FRAMES SIZE ROUNDS`: loads the videos of a folder in this process and in another one, in
///   turn, and prints the medians.
@main
struct SeparateDecoder {
  static func main() throws {
    DecodingService.runIfAsked()
    let words = CommandLine.arguments.dropFirst()
    guard words.count >= 4, let frames = Int(words[3]), let size = Int(words[4]) else {
      exit(ExitStatus.usage.rawValue)
    }
    let form = ClipForm(frames: frames, size: size, training: true, seed: 1)
    switch words[1] {
    case "load": try load(words[2], form)
    default: try bench(words[2], form, rounds: Int(words.last ?? "") ?? 9)
    }
  }

  private static func load(_ path: String, _ form: ClipForm) throws {
    let loader = ClipLoader(decoders: DecodingPool())
    let storage = loader.storage(count: form.clipElements)
    let request = ClipRequest(
      path: path, clip: 0, label: 0, expectedBytes: 0, expectedHash: Digest128(high: 0, low: 0))
    while true {
      try loader.load(request, form, epoch: 0, into: storage)
      print("loaded")
      fflush(nil)
    }
  }

  private static func bench(_ folder: String, _ form: ClipForm, rounds: Int) throws {
    let requests = (FileManager.default.enumerator(atPath: folder)?.compactMap { $0 as? String } ?? []).sorted()
      .compactMap { name -> ClipRequest? in
        let path = "\(folder)/\(name)"
        guard let clip = try? ClipProbe.probe(path, deep: false), clip.codec != "images" else { return nil }
        return ClipRequest(
          path: path, frames: clip.frames, isProved: clip.isProved, clip: 0, label: 0, expectedBytes: clip.bytes,
          expectedHash: clip.hash)
      }
    let loaders = [ClipLoader(), ClipLoader(decoders: DecodingPool())]
    let storages = loaders.map { $0.storage(count: form.clipElements) }
    var ratios: [Double] = []
    var times: [[Double]] = [[], []]
    for round in 0...rounds {
      var seconds = [0.0, 0.0]
      for (number, request) in requests.enumerated() {
        // Whoever is second finds the file in the processor's caches.
        for side in (number + round) % 2 == 0 ? [0, 1] : [1, 0] {
          let time = try ContinuousClock().measure {
            try loaders[side].load(request, form, epoch: round, into: storages[side])
          }
          seconds[side] += time / .seconds(1)
        }
      }
      // The first round starts the process and hashes the files.
      guard round > 0 else { continue }
      ratios.append(seconds[1] / seconds[0])
      for side in 0...1 { times[side].append(1000 * seconds[side] / Double(requests.count)) }
    }
    func median(_ values: [Double]) -> Double { values.sorted()[values.count / 2] }
    print(
      String(
        format: "%d clips: %.3f ms here, %.3f ms in another process, median ratio %.4f (%.4f to %.4f)", requests.count,
        median(times[0]), median(times[1]), median(ratios), ratios.min() ?? 0, ratios.max() ?? 0))
  }
}
