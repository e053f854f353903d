// Which frames of a video make a clip: a pure function of its length and of (seed, epoch, clip).
import Shared

/// How the T frames of a clip are chosen from a video's n: the reference implementation's rules. Where it draws from a
/// running generator, we draw from the same distribution by key; its other numbers are the same here
/// (docs/decisions/0020-sampling-of-the-reference.md).
///
/// **Source:** `core/video_dataset.py` of the reference implementation of bLVNet-TAM; uniform: Wang et al., "Temporal
/// Segment Networks", ECCV 2016, section 3.1; dense: Carreira and Zisserman, "Quo Vadis, Action Recognition?", CVPR
/// 2017.
public enum FrameSampling: Hashable, Sendable {
  /// Frames from segments of equal length. In training, `framesPerGroup` of each of the T / `framesPerGroup` segments,
  /// at places that are drawn once and are the same in all segments; in evaluation, the middles of T segments. A video
  /// with too few frames for that gives T random ones of its frames, sorted.
  case uniform
  /// T frames `stride` apart, wrapping around. The start is random in training, evenly spaced in evaluation.
  case dense(stride: Int)

  /// Raise it whenever a choice of frames or of a crop changes. Runs of another version are refused.
  static let version = 1

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
    case (.uniform, true): chosen = drawn(form, count, &generator)
    case (.uniform, false): chosen = middles(form, count)
    case (.dense(let stride), let training):
      let beyond = count - stride * form.frames
      let start = training ? (beyond > 0 ? generator.below(beyond) : 0) : evenlySpaced(form.view, max(0, beyond))
      chosen = (0..<form.frames).map { (start + $0 * stride) % count }
    }
    guard form.shuffleFrames else { return chosen }
    var shuffler = Philox(
      seed: form.seed, .frameShuffle, UInt32(truncatingIfNeeded: epoch), UInt32(truncatingIfNeeded: clip))
    return shuffler.permutation(form.frames).map { chosen[$0] }
  }

  /// `_sample_indices`, uniform.
  private static func drawn(_ form: ClipForm, _ count: Int, _ generator: inout Philox) -> [Int] {
    let perGroup = form.framesPerGroup
    let groups = form.frames / perGroup
    let length = count / groups
    guard length >= perGroup else { return (0..<form.frames).map { _ in generator.below(count) }.sorted() }
    // The first draws of a shuffle: different places within a segment.
    var places = Array(0..<length)
    for i in 0..<perGroup { places.swapAt(i, i + generator.below(length - i)) }
    let offsets = places.prefix(perGroup).sorted()
    return (0..<groups).flatMap { group in offsets.map { group * length + $0 } }
  }

  /// `_get_val_indices`, uniform, with fixed offsets: views lie one frame apart, around the middle.
  private static func middles(_ form: ClipForm, _ count: Int) -> [Int] {
    let view = form.view
    guard count > form.frames else {
      var generator = MersenneTwister(seed: UInt32(truncatingIfNeeded: view.clip))
      return generator.choices(below: count, count: form.frames).sorted()
    }
    // ⌊−clips / 2⌋ + 1 for the first view.
    let wanted = Double(view.clip - (view.clips + 1) / 2 + 1)
    let length = Double(count) / Double(form.frames)
    let offset = wanted >= length / 2 ? length / 2 - 1e-4 : max(wanted, -length / 2)
    return (0..<form.frames).map { min(Int(length / 2 + offset + length * Double($0)), count - 1) }
  }

  /// `numpy.linspace(0, last, clips)`, rounded down.
  private static func evenlySpaced(_ view: ClipView, _ last: Int) -> Int {
    if view.clips == 1 { return 0 }
    if view.clip == view.clips - 1 { return last }
    return Int(Double(view.clip) * (Double(last) / Double(view.clips - 1)))
  }
}
