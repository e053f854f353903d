// Where the real annotation files are that these tests read; they are no part of the repository.
import Foundation

enum SharedFormats {
  private static let folder = {
    let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent()
    let beside = root.deletingLastPathComponent().appendingPathComponent("shared").path
    return (ProcessInfo.processInfo.environment["TAMRING_SHARED"] ?? beside) + "/formats"
  }()

  static var isMissing: Bool { !FileManager.default.fileExists(atPath: folder) }

  static func path(_ name: String) -> String { "\(folder)/\(name)" }
}
