// The mark on the best checkpoint: a link to its directory, and a description beside it.
import Foundation
import Shared

extension CheckpointStore {
  /// The name of the link, and of the description.
  public static let bestName = "best"
  public static let bestDescription = "best.json"

  /// Lets `best` be a link to the checkpoint of `step`, and puts a description beside it. At every moment there is the
  /// old link or the new one; the description is replaced first.
  /// - Throws: `CheckpointError` if there is no such checkpoint, or the disk fails.
  public func markBest(_ step: Int, description: Data) throws {
    let name = Self.name(ofStep: step)
    guard try Directory.exists("\(directory)/\(name)/\(Manifest.name)") else {
      throw CheckpointError(badData: "is not there any more", path: "\(directory)/\(name)")
    }
    let file = "\(directory)/\(Self.temporaryPrefix)\(Self.bestDescription)"
    try? Directory.remove(file)
    let written = try DiskFile.create(file)
    try written.write(description)
    try written.sync()
    try written.closeFile()
    let link = "\(directory)/\(Self.temporaryPrefix)\(Self.bestName)"
    try? Directory.remove(link)
    try systemCall("symlink", link) { unsafe symlink(name, link) }
    try Directory.rename(file, to: "\(directory)/\(Self.bestDescription)")
    try Directory.rename(link, to: "\(directory)/\(Self.bestName)")
    try Directory.sync(directory)
  }

  /// The step of the checkpoint that is marked; nil where none is.
  public func best() -> Int? {
    let link = "\(directory)/\(Self.bestName)"
    return (try? FileManager.default.destinationOfSymbolicLink(atPath: link)).flatMap { Self.step(ofName: $0) }
  }
}
