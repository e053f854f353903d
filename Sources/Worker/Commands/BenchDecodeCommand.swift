// `worker bench decode`: times loading a clip on this machine, as training does it.
import ArgumentParser
import Foundation
import Shared
import Video

/// Loads one clip again and again: opens the file, decodes, crops, scales and normalises. What the index knows of the
/// file is found out before. The first line of JSON tells which frames these are; one follows for each time.
struct BenchDecodeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "decode", abstract: "Times loading uniform frames of a video, and prints a line of JSON for each time."
  )

  @Argument(help: "A video file, or a folder of images.") var path: String
  @Option(help: "How many frames to load.") var frames = 16
  @Option(help: "The first frame of the clip, if it is a part of the file.") var first = 0
  @Option(help: "How many frames the clip has. Without it, it goes to the end of the file.") var length: Int?
  @Option(help: "Pixels on a side of the square that is cut out.") var size = 224
  @Option(help: "How often to load the clip, after a first time.") var times = 5
  @Flag(help: "Wait for a line on standard input before each time.") var onRequest = false

  func validate() throws {
    guard (1...4096).contains(frames) else { throw ValidationError("--frames must be from 1 to 4096") }
    guard (16...4096).contains(size) else { throw ValidationError("--size must be from 16 to 4096") }
    guard (1...1_000_000).contains(times) else { throw ValidationError("--times must be from 1 to 1000000") }
  }

  func run() throws {
    let probe = try ClipProbe.probe(path, deep: false)
    let form = ClipForm(frames: frames, size: size, training: false, seed: 0)
    let length = length ?? max(0, probe.frames - first)
    guard first >= 0, length > 0, length <= probe.frames, first <= probe.frames - length else {
      throw SharedError(
        .badConfiguration, "\(path): has frames 0 to \(probe.frames - 1), not \(length) from \(first) on")
    }
    let request = ClipRequest(
      path: path, first: first, frames: length, isProved: probe.isProved, head: probe.head, clip: 0,
      expectedBytes: probe.bytes, expectedHash: probe.hash)
    let loader = ClipLoader()
    let pixels = FloatStorage(count: form.clipElements)
    try loader.load(request, form, epoch: 0, into: pixels)
    let numbers = FrameSampling.frames(form, count: length, epoch: 0, clip: 0).map { $0 + first }
    try print(
      """
      {"frames": \(numbers), "of": \(probe.frames), "width": \(probe.width), "height": \(probe.height), \
      "codec": "\(probe.codec)", "proved": \(probe.isProved), "doubt": \(Self.json(probe.doubt ?? ""))}
      """)
    for _ in 0..<times {
      fflush(nil)
      if onRequest, readLine() == nil { return }
      let seconds = try ContinuousClock().measure { try loader.load(request, form, epoch: 0, into: pixels) }
      print("{\"seconds\": \(seconds / .seconds(1))}")
    }
  }

  private static func json(_ text: String) throws -> String {
    String(decoding: try JSONEncoder().encode(text), as: UTF8.self)
  }
}
