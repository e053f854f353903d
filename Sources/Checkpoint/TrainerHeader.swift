// The step that a trainer.safetensors is of, from its header alone: for verifying without reading all of it to memory.
import Foundation

enum TrainerHeader {
  /// Bytes at the file's start among which its header is looked for. The largest network's has 0.1 MB.
  static let limit = 16 << 20

  /// - Parameters:
  ///   - data: the file from its start, at least to the header's end.
  ///   - path: the file's, for the error.
  /// - Throws: `CheckpointError`, bad data, if there is no header that says a step.
  static func step(in data: Data, path: String) throws -> Int {
    let bytes = data.prefix(8).reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
    if data.count >= 8, bytes <= data.count - 8 {
      let header = try? JSONSerialization.jsonObject(with: Data(data.dropFirst(8).prefix(Int(bytes))))
      let metadata = (header as? [String: Any])?["__metadata__"] as? [String: Any]
      if let text = metadata?[TrainerMetadata.step] as? String, let step = Int(text) { return step }
    }
    throw CheckpointError(badData: "its header says no step; use another checkpoint", path: path)
  }
}
