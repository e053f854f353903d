// What one clip's forward and backward pass takes in this process: memory and time.
import BLVNet
import Foundation
import Recipes
import Shared

/// A step of one clip of random numbers on one thread, without optimizer and exchange.
struct StepMeasurement {
  /// By how much the process grew, at its largest: the lane's memory as the system counts it, and the libraries'.
  let bytes: Int
  /// Of the second of two passes.
  let seconds: Double

  /// - Throws: `SharedError(.unavailable)` if the system does not tell a process its memory.
  init(_ network: Network) throws {
    let parameters = network.sampleParameters(seed: 1)
    var random = Philox(seed: 1, .selfTest)
    let input = FloatStorage(count: network.inputCount)
    for i in 0..<input.count { input[i] = Float(random.unit() * 4 - 2) }
    let before = try Self.resident("VmRSS:")
    // Makes the largest size so far the present one.
    try? Data("5".utf8).write(to: URL(fileURLWithPath: "/proc/self/clear_refs"))
    let lane = Lane(network, maximumClips: 1)
    func pass() throws {
      _ = try unsafe lane.train(
        parameters: parameters, input: input, labels: [0], dropout: DropoutKey(seed: 1, step: 0, lane: 0)
      ) { _, _ in }
    }
    try pass()
    let clock = ContinuousClock()
    let begin = clock.now
    try pass()
    seconds = (clock.now - begin) / .seconds(1)
    bytes = try Self.resident("VmHWM:") - before
  }

  /// A line of the process's status, in bytes.
  private static func resident(_ key: String) throws -> Int {
    let status = FileManager.default.contents(atPath: "/proc/self/status").map { String(decoding: $0, as: UTF8.self) }
    let line = status?.split(separator: "\n").first { $0.hasPrefix(key) }
    guard let kibibytes = line?.split(separator: " ").compactMap({ Int($0) }).first else {
      throw SharedError(.unavailable, "/proc/self/status has no \(key) line; --measure needs Linux's /proc")
    }
    return 1024 * kibibytes
  }
}
