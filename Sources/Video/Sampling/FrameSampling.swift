// Which frames of a video make a clip: a pure function of its length and of (seed, epoch, clip).
import Shared

/// How the T frames of a clip are chosen from a video's n.
///
/// **Source:** uniform: Wang et al., "Temporal Segment Networks", ECCV 2016, section 3.1; dense: Carreira and
/// Zisserman, "Quo Vadis, Action Recognition?", CVPR 2017.
public enum FrameSampling: Hashable, Sendable {
  /// One frame of each of T equal segments: random in training, the centre in evaluation. Segment i is
  /// [⌊i·n/T⌋, ⌊(i+1)·n/T⌋); if it is empty (n < T), frame ⌊i·n/T⌋ is repeated.
  case uniform
  /// T frames `stride` apart, wrapping around. The start is random in training, evenly spaced in evaluation.
  case dense(stride: Int)

  /// The frames of a clip, in the order in which the network sees them.
  /// - Parameters:
  ///   - count: frames of the video (n), at least 1.
  ///   - clip: the clip's position in the index.
  /// - Returns: T positions in 0..<count.
  public static func frames(_ form: ClipForm, count: Int, epoch: Int, clip: Int) -> [Int] {
    precondition(count > 0, "a video without frames")
    var generator = Philox(
      seed: form.seed, .frameSampling, UInt32(truncatingIfNeeded: epoch), UInt32(truncatingIfNeeded: clip))
    let chosen: [Int]
    switch (form.sampling, form.training) {
    case (.uniform, true):
      chosen = (0..<form.frames).map { i in
        let start = i * count / form.frames
        return start + generator.below(max(1, (i + 1) * count / form.frames - start))
      }
    case (.uniform, false):
      // The middle of this view's part of the segment; with one view, the segment's middle.
      let parts = 2 * form.view.clips
      chosen = (0..<form.frames).map { i in (parts * i + 2 * form.view.clip + 1) * count / (parts * form.frames) }
    case (.dense(let stride), let training):
      let starts = max(1, count - (form.frames - 1) * stride)
      let start = training ? generator.below(starts) : evenlySpaced(form.view, starts)
      chosen = (0..<form.frames).map { (start + $0 * stride) % count }
    }
    guard form.shuffleFrames else { return chosen }
    var shuffler = Philox(
      seed: form.seed, .frameShuffle, UInt32(truncatingIfNeeded: epoch), UInt32(truncatingIfNeeded: clip))
    return shuffler.permutation(form.frames).map { chosen[$0] }
  }

  /// Evenly spaced from the first start to the last; the middle if there is one clip.
  private static func evenlySpaced(_ view: ClipView, _ starts: Int) -> Int {
    view.clips == 1 ? (starts - 1) / 2 : view.clip * (starts - 1) / (view.clips - 1)
  }
}
