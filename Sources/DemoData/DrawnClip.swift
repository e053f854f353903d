// What every clip of a demo data set has: its place in the folder and in the lists, and its pictures.
import Foundation

/// The list that a clip belongs to.
enum DemoSplit: UInt32, CaseIterable {
  case train, validation

  var name: String { self == .train ? "train" : "validation" }
}

/// A picture in YUV 4:2:0, rows from the top, without padding.
struct DemoFrame: Equatable {
  var luma: [UInt8]
  var blue: [UInt8]
  var red: [UInt8]
}

/// A clip that is drawn from a seed.
protocol DrawnClip: Sendable {
  /// Pixels on a side; even.
  static var size: Int { get }
  static var frameCount: Int { get }
  static var framesPerSecond: Int { get }

  var split: DemoSplit { get }
  var number: Int { get }
  /// The name of its class.
  var label: String { get }

  /// The clip's pictures, in order: a pure function of seed, split and number.
  func frames(seed: UInt64) -> [DemoFrame]
}

extension DrawnClip {
  /// Stands in for a YouTube id.
  var id: String { "\(split.name)-" + String(repeating: "0", count: 5 - min(5, digits.count)) + digits }
  private var digits: String { String(number) }
  private var seconds: Int { Self.frameCount / Self.framesPerSecond }

  /// Relative to the data folder.
  var folder: String { "\(split.name)/\(label)" }
  var path: String { "\(folder)/\(id)_000000_00000\(seconds).mp4" }

  /// The clip's row in the Kinetics CSV.
  var row: String { "\"\(label)\",\(id),0,\(seconds),\(split.name),0" }

  /// The bytes of its file.
  func encoded(seed: UInt64) throws(DemoDataError) -> Data {
    try DemoEncoder().encode(frames(seed: seed), size: Self.size, framesPerSecond: Self.framesPerSecond)
  }
}
