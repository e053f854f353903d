// The folder of the demo's data: whether it is ours, whether it is complete, and writing so that a file is either whole
// or absent.
import Foundation

/// A folder that a stamp file marks as ours: `writing` while clips are being written, then `complete`.
struct DemoFolder: Sendable {
  let path: String
  /// The stamp file's description of the complete folder.
  let contents: String

  private static let stamp = "demo-data.txt"
  /// Raise the number if the clips change.
  private static let version = "tamring-demo-data 1\n"
  private static let parts = ["train", "validation", "train.csv", "validation.csv"]

  private func absolute(_ part: String) -> String { "\(path)/\(part)" }

  /// Claims the folder, and removes the parts of an interrupted run.
  ///
  /// - Returns: false if it is complete already.
  /// - Throws: `DemoDataError` if it holds something else, or cannot be written.
  func begin() throws(DemoDataError) -> Bool {
    let manager = FileManager.default
    let present = DemoFolder.parts.filter { manager.fileExists(atPath: absolute($0)) }
    if manager.fileExists(atPath: absolute(DemoFolder.stamp)) {
      let found = try attempt("read", DemoFolder.stamp) {
        try String(contentsOfFile: absolute(DemoFolder.stamp), encoding: .utf8)
      }
      if found == stampText("complete") { return false }
      guard found.hasPrefix(DemoFolder.version), found.hasSuffix("writing\n") else {
        throw DemoDataError(
          .usage, "\(path): holds demo data with other counts, seed or version; remove it, or give another folder")
      }
      for part in present { try attempt("remove", part) { try manager.removeItem(atPath: absolute(part)) } }
    } else if let part = present.first {
      throw DemoDataError(.usage, "\(path): holds a '\(part)' that is not the demo's; give another folder")
    }
    try makeFolder("")
    try write(Data(stampText("writing").utf8), to: DemoFolder.stamp)
    return true
  }

  /// Marks the folder as complete.
  func end() throws(DemoDataError) { try write(Data(stampText("complete").utf8), to: DemoFolder.stamp) }

  func makeFolder(_ part: String) throws(DemoDataError) {
    try attempt("make", part) {
      try FileManager.default.createDirectory(atPath: absolute(part), withIntermediateDirectories: true)
    }
  }

  /// Writes under a temporary name, then renames.
  func write(_ bytes: Data, to part: String) throws(DemoDataError) {
    let temporary = absolute(part) + ".partial"
    try attempt("write", part) { try bytes.write(to: URL(fileURLWithPath: temporary)) }
    guard unsafe rename(temporary, absolute(part)) == 0 else {
      throw DemoDataError(.ioError, "\(absolute(part)): cannot be renamed (\(unsafe String(cString: strerror(errno))))")
    }
  }

  private func stampText(_ state: String) -> String { DemoFolder.version + contents + state + "\n" }

  private func attempt<T>(_ verb: String, _ part: String, _ body: () throws -> T) throws(DemoDataError) -> T {
    do {
      return try body()
    } catch {
      let underlying = (error as NSError).userInfo[NSUnderlyingErrorKey] as? any Error
      let reason = (underlying ?? error).localizedDescription
      throw DemoDataError(
        .ioError, "\(absolute(part)): cannot \(verb) it (\(reason)); see to space and rights, then run again")
    }
  }
}
