// The constants of a worker's run: the recipe, the network, the clips, and what follows from them.
import BLVNet
import Dataset
import Foundation
import Recipes
import Remote
import Ring
import Shared
import Synchronization
import Training
import Video
import Wire

/// Everything about a run that no step changes.
final class RunContext: Sendable {
  let recipe: Recipe
  let network: Network
  let train: ClipIndex
  let validation: ClipIndex
  let shards: StepShards
  let lastStep: UInt64
  /// This host's copy of the data.
  let dataPath: String
  /// Reads clips that are on the web.
  let remote: RemoteFiles
  let rule: any UpdateRule
  /// The processes that decode; nil to decode in this one.
  let decoders: DecodingPool?
  private let order = Mutex<(epoch: Int, order: EpochOrder)?>(nil)
  private let leftOut = Mutex<Set<ClipExclusion>>([])

  /// - Parameters:
  ///   - dataPath: replaces the recipe's on this host.
  ///   - cache: the folder for files from the web; nil for the user's.
  ///   - isolatesDecoding: whether clips are decoded in other processes.
  /// - Throws: `BLVNetError` or `SharedError` where the recipe's model, precision or update rule is impossible here.
  init(
    recipe: Recipe, train: ClipIndex, validation: ClipIndex, lastStep: UInt64, dataPath: String?,
    cache: String? = nil, isolatesDecoding: Bool
  ) throws {
    self.recipe = recipe
    self.lastStep = lastStep
    self.dataPath = dataPath ?? recipe.data.path
    remote = RemoteFiles(folder: cache, bytes: recipe.data.cacheBytes, patience: .seconds)
    self.train = train
    self.validation = validation
    network = try Network(recipe.model, engine: recipe.makeEngine())
    rule = try recipe.optimizer.makeRule()
    // Two tries take less than it takes to find that reading does not go on.
    let silence = Duration.seconds(min(20, recipe.faults.hangSeconds / 3))
    decoders = isolatesDecoding ? DecodingPool(DecodingPool.Settings(silence: silence)) : nil
    shards = StepShards(
      count: self.train.clips.count, lanes: recipe.batch.lanes, clipsPerLane: recipe.batch.clipsPerLane)
  }

  /// The limits within which clips are read.
  var videoRules: VideoRules {
    let data = recipe.data
    return VideoRules(
      pixels: data.clipPixels, packets: data.clipPackets, bytes: UInt64(clamping: data.clipBytes),
      seconds: data.clipSeconds,
      acceptsTruncated: data.acceptTruncated)
  }

  func epoch(of step: UInt64) -> Int { Int(step) / shards.stepsPerEpoch }
  func stepInEpoch(_ step: UInt64) -> Int { Int(step) % shards.stepsPerEpoch }

  /// Whether the state before `step` is kept as a checkpoint.
  func isCheckpoint(_ step: UInt64) -> Bool {
    let every = recipe.checkpoint.everySteps > 0 ? recipe.checkpoint.everySteps : shards.stepsPerEpoch
    return Int(step) % every == 0
  }

  /// Whether the state before `step` is evaluated while training goes on.
  func isValidated(_ step: UInt64) -> Bool {
    !validation.clips.isEmpty && stepInEpoch(step) == 0
      && recipe.isValidated(afterEpochs: epoch(of: step), step: Int(step))
  }

  /// Replaces the excluded clips.
  /// - Returns: whether they changed.
  func leaveOut(_ exclusions: [ClipExclusion]) -> Bool {
    leftOut.withLock { known in
      defer { known = Set(exclusions) }
      return known != Set(exclusions)
    }
  }

  /// The clips of a lane, as positions in the training index, without the excluded ones. May be empty in an
  /// epoch's short last step.
  func clips(step: UInt64, lane: Int) -> [Int] {
    let epoch = epoch(of: step)
    let known = order.withLock { cached in
      if let cached, cached.epoch == epoch { return cached.order }
      let made = EpochOrder(seed: recipe.seed, epoch: epoch, count: train.clips.count)
      cached = (epoch, made)
      return made
    }
    let leftOut = leftOut.withLock { $0 }
    return known.clips(step: stepInEpoch(step), lane: lane, in: shards).filter {
      !leftOut.contains(ClipExclusion(step: step, lane: lane, clip: $0))
    }
  }

  /// `ClipPairs` of what each lane of a step is to train.
  func clipDigests(step: UInt64) -> [Digest128] {
    (0..<recipe.batch.lanes).map { ClipPairs.digest(step: step, lane: $0, clips: clips(step: step, lane: $0)) }
  }

  /// What must be decoded for a lane.
  func requests(step: UInt64, lane: Int) -> [ClipRequest] {
    clips(step: step, lane: lane).map { trainingRequest($0) }
  }

  func trainingRequest(_ clip: Int) -> ClipRequest { request(clip, of: train, in: recipe.data.trainVideos) }

  func validationRequest(_ clip: Int) -> ClipRequest { request(clip, of: validation, in: recipe.data.validationVideos) }

  private func request(_ clip: Int, of index: ClipIndex, in videos: String) -> ClipRequest {
    let entry = index.clips[clip]
    return ClipRequest(
      path: clipPath(data: dataPath, videos: videos, path: entry.path),
      range: entry.bytesInShard, first: entry.first,
      frames: entry.frames, isProved: entry.isProved, head: FileHead(code: entry.head), clip: clip, label: entry.label,
      expectedBytes: entry.bytes,
      expectedHash: entry.hash)
  }

  /// How frames are taken from a clip.
  func form(training: Bool, view: ClipView = ClipView()) -> ClipForm {
    let sampling: FrameSampling = recipe.data.sampling == .dense ? .dense(stride: recipe.data.denseStride) : .uniform
    return ClipForm(
      frames: recipe.model.groups, size: recipe.model.inputSize, sampling: sampling,
      framesPerGroup: recipe.data.framesPerGroup, training: training, flip: recipe.data.flip,
      shuffleFrames: recipe.data.shuffleFrames, seed: recipe.seed,
      scales: recipe.data.multiScale ? [1, 0.875, 0.75, 0.66] : [1], scaleUp: recipe.data.evaluationScaleUp,
      view: view)
  }
}
