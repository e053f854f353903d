// The index as text, for people and for the audits. Training reads only the index's own file.
import Foundation

extension ClipIndex {
  /// The first line of the text.
  public static let exportSignature = ["tamring-index", "2"]

  /// Writes the index as text, as a stream: a first line with the version, then `class NAME` and
  /// `clip ID PATH LABELS BYTES HASH FRAMES FIRST OFFSET ENTRY WIDTH HEIGHT RATE CODEC` lines, separated by tabs.
  /// - Throws: `DatasetError` if the file cannot be written.
  public func export(to path: String) throws(DatasetError) {
    let file = try OutputFile.create(path + ".new")
    var line: [UInt8] = []
    func write(_ fields: [String]) throws(DatasetError) {
      line.removeAll(keepingCapacity: true)
      appendEscapedLine(fields, to: &line)
      try file.write(line)
    }
    try write(Self.exportSignature)
    for name in classes { try write(["class", name]) }
    try forEach { _, clip throws(DatasetError) in
      try write([
        "clip", clip.id, clip.path, clip.listedClasses, String(clip.bytes), clip.hash.description, String(clip.frames),
        String(clip.first), String(clip.offset), clip.isProved ? "key" : "start", String(clip.width),
        String(clip.height), String(clip.frameRate), clip.codec,
      ])
    }
    try file.place(at: path)
  }
}
