// What a worker's bits depend on besides the recipe: all members of a run must be equal in it.
import BLVNet
import Shared
import Video

enum Fingerprint {
  /// This process's.
  static var own: [String: String] {
    EngineFingerprint.entries.merging(VideoFingerprint.entries) { engine, _ in engine }
  }
}
