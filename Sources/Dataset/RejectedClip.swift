// Clips of a list that cannot be used, each with a reason for the user.
import Foundation

/// A clip that an annotation list names, but the index leaves out.
public struct RejectedClip: Equatable, Sendable {
  public var id: String
  /// Relative to the data folder; empty if there is no file.
  public var path: String
  public var reason: String

  public init(id: String, path: String, reason: String) {
    self.id = id
    self.path = path
    self.reason = reason
  }

  private static let signature = ["tamring-rejected", "1"]

  /// The list as text: a first line with the version, then `ID PATH REASON` lines separated by tabs, sorted.
  public static func encoded(_ rejected: [RejectedClip]) -> Data {
    let lines = rejected.map { escapedLine([$0.id, $0.path, $0.reason]) }.sorted(by: precedesInUTF8)
    return Data((escapedLine(signature) + lines.joined()).utf8)
  }

  /// Reads what `encoded(_:)` wrote.
  ///
  /// - Parameter name: what errors call the file.
  /// - Throws: `DatasetError` naming file and line.
  public static func decoded(_ data: Data, name: String = "rejected list") throws -> [RejectedClip] {
    var rejected: [RejectedClip] = []
    let remedy = "make it anew with 'coordinator index'"
    try forEachLine(of: data, name: name, signature: signature, remedy: remedy) { fields in
      guard fields.count == 3 else { return false }
      rejected.append(RejectedClip(id: fields[0], path: fields[1], reason: fields[2]))
      return true
    }
    return rejected
  }
}
