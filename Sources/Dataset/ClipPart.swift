// The part of a file that is a row's clip.

/// The part of a file that a row of a list names.
public enum ClipPart: Hashable, Sendable {
  case whole
  /// Seconds in the file, from the first to before the second.
  case seconds(Double, Double)
  /// Frames, both included: by the numbers in the names of a folder of images; of a video, from 0.
  case frames(Int, Int)
}
