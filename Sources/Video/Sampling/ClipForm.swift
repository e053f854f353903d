// How to sample a clip, as plain values: which frames, which size, which augmentation.
import Shared

/// One clip to load.
public struct ClipRequest: Hashable, Sendable {
  /// A video file, a shard that holds one, or a folder of images.
  public var path: String
  /// The bytes of a shard that are the clip's file; nil for the whole file.
  public var range: Range<UInt64>?
  /// The clip's first frame in the file, from 0.
  public var first: Int
  /// How many frames the clip has; 0 for all from `first` on.
  public var frames: Int
  /// Whether it was proved for this file that frames may be found by entering it at key frames.
  public var isProved: Bool
  /// What is known of the file's head.
  public var head: FileHead?
  /// The clip's position in the index. It is part of the key of the clip's random draws.
  public var clip: Int
  /// The file's size and hash in the index. With zero bytes nothing is checked.
  public var expectedBytes: UInt64
  public var expectedHash: Digest128

  public init(
    path: String, range: Range<UInt64>? = nil, first: Int = 0, frames: Int = 0, isProved: Bool = false,
    head: FileHead? = nil,
    clip: Int, expectedBytes: UInt64, expectedHash: Digest128
  ) {
    self.path = path
    self.range = range
    self.first = first
    self.frames = frames
    self.isProved = isProved
    self.head = head
    self.clip = clip
    self.expectedBytes = expectedBytes
    self.expectedHash = expectedHash
  }
}

extension ClipRequest {
  /// What is one file to a loader: a shard holds many. A digest, since there may be millions.
  var fileKey: UInt64 {
    let digest = Digest128Stream()
    var start = range?.lowerBound ?? 0
    var path = path
    unsafe withUnsafeBytes(of: &start) { unsafe digest.update($0) }
    path.withUTF8 { unsafe digest.update(UnsafeRawBufferPointer($0)) }
    return digest.finish().low
  }
}

/// One of several evenly spaced views of a video, for evaluation.
public struct ClipView: Hashable, Sendable {
  /// Position in time, 0..<clips.
  public var clip: Int
  public var clips: Int
  /// Position in the picture, 0..<crops; `crops` is 1, 3, 5 or 10.
  public var crop: Int
  public var crops: Int

  public init(clip: Int = 0, clips: Int = 1, crop: Int = 0, crops: Int = 1) {
    self.clip = clip
    self.clips = clips
    self.crop = crop
    self.crops = crops
  }
}

/// How clips are sampled, cropped and scaled.
public struct ClipForm: Hashable, Sendable {
  /// Frames of a clip (T).
  public var frames: Int
  /// Pixels on a side (S).
  public var size: Int
  public var sampling: FrameSampling
  /// Uniform training: frames of each segment. It divides `frames`.
  public var framesPerGroup: Int
  /// Whether frames, crops and flips are drawn for (seed, epoch, clip). Otherwise they are those of `view`.
  public var training: Bool
  /// Training: whether to mirror half of the clips. Not for classes such as "left" and "right".
  public var flip: Bool
  /// Whether to shuffle the frames, to measure what their order is worth.
  public var shuffleFrames: Bool
  public var seed: UInt64
  /// Training: possible sides of the crop, as fractions of the shorter side, in descending order.
  public var scales: [Double]
  /// Training: instead of `scales`, the least part of the picture that a crop of any side and place has; 0 for none.
  public var cropArea: Double
  /// Training: how the pixels change then.
  public var pixels: PixelRule
  /// Evaluation: whether the shorter side is scaled to S/0.875, of which S is shown; otherwise to S.
  public var scaleUp: Bool
  public var view: ClipView

  public init(
    frames: Int, size: Int, sampling: FrameSampling = .uniform, framesPerGroup: Int = 1, training: Bool,
    flip: Bool = true, shuffleFrames: Bool = false, seed: UInt64, scales: [Double] = [1, 0.875, 0.75, 0.66],
    cropArea: Double = 0, pixels: PixelRule = PixelRule(), scaleUp: Bool = true, view: ClipView = ClipView()
  ) {
    precondition(frames % framesPerGroup == 0, "\(frames) frames in groups of \(framesPerGroup)")
    self.frames = frames
    self.size = size
    self.sampling = sampling
    self.framesPerGroup = framesPerGroup
    self.training = training
    self.flip = flip
    self.shuffleFrames = shuffleFrames
    self.seed = seed
    self.scales = scales
    (self.cropArea, self.pixels) = (cropArea, pixels)
    self.scaleUp = scaleUp
    self.view = view
  }

  /// How many numbers a clip has: T·S·S·3.
  public var clipElements: Int { frames * size * size * 3 }
}
