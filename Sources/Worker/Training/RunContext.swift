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
  let settings: UpdateSettings
  let loss: ClassLoss
  let decoders: DecodingPool
  private let orders: EpochOrders
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
    guard recipe.loss.kind == .binary || [train, validation].allSatisfy({ $0.firstWithSeveralClasses == nil }) else {
      throw SharedError(.badConfiguration, "clips have several labels, which needs 'loss.kind: binary'")
    }
    network = try Network(recipe.model, engine: recipe.makeEngine())
    guard recipe.validation.preciseNorm == 0 || network.layout.statisticCount <= MeasuredNorms.most else {
      throw SharedError(
        .badConfiguration,
        "validation.precise_bn: the network's \(network.layout.statisticCount) statistics are more than fit into a message, "
          + "\(MeasuredNorms.most); set it to 0")
    }
    rule = try recipe.optimizer.makeRule()
    settings = try UpdateSettings(recipe.optimizer, network.layout)
    var counts = [Int](repeating: 0, count: recipe.model.classes)
    if recipe.loss.classWeights == .balanced {
      for clip in train.clips { for label in clip.labels { counts[label] += 1 } }
    }
    loss = try ClassLoss(recipe.loss, counts: counts)
    // Two tries take less than it takes to find that reading does not go on.
    let silence = Duration.seconds(min(20, recipe.faults.hangSeconds / 3))
    decoders = isolatesDecoding ? DecodingPool(DecodingPool.Settings(silence: silence)) : .inThisProcess()
    orders = try EpochOrders(seed: recipe.seed, train, balanced: recipe.data.balanced)
    shards = StepShards(
      count: self.train.clips.count, lanes: recipe.batch.lanes, clipsPerLane: recipe.batch.clipsPerLane)
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
    let leftOut = leftOut.withLock { $0 }
    return plannedClips(step: step, lane: lane).filter {
      !leftOut.contains(ClipExclusion(step: step, lane: lane, clip: $0))
    }
  }

  /// The clips of a lane, as above, with the excluded ones.
  func plannedClips(step: UInt64, lane: Int) -> [Int] {
    let epoch = epoch(of: step)
    let known = order.withLock { cached in
      if let cached, cached.epoch == epoch { return cached.order }
      let made = orders.order(epoch: epoch)
      cached = (epoch, made)
      return made
    }
    return known.clips(step: stepInEpoch(step), lane: lane, in: shards)
  }

  /// Mixes the clips of a lane, where the recipe wants that.
  /// - Parameters:
  ///   - batch: the lane's clips without the excluded ones.
  ///   - share: a parallel loop, as `Lane.share`.
  /// - Returns: what each clip then shows.
  func mix(_ batch: LaneBatch, step: UInt64, lane: Int, share: (Int, (Int) -> Void) -> Void) -> [ClassTarget] {
    let mixing = ClipMixing(recipe)
    let labels = batch.clips.map { train.clips[$0 % train.clips.count].labels }
    guard mixing.isWanted else { return labels.map { ClassTarget($0) } }
    let planned = plannedClips(step: step, lane: lane)
    let pairs = mixing.pairs(of: planned.count, size: recipe.model.inputSize, seed: recipe.seed, step: step, lane: lane)
    return ClipMixing.mix(
      pairs, planned: planned, trained: batch.clips, labels: labels.map { $0[0] }, batch.storage,
      frames: recipe.model.groups,
      size: recipe.model.inputSize, share: share)
  }

  /// `ClipPairs` of what each lane of a step is to train.
  func clipDigests(step: UInt64) -> [Digest128] {
    (0..<recipe.batch.lanes).map { ClipPairs.digest(step: step, lane: $0, clips: clips(step: step, lane: $0)) }
  }

  /// What must be decoded for a lane.
  func requests(step: UInt64, lane: Int) -> [ClipRequest] {
    clips(step: step, lane: lane).map { trainingRequest($0) }
  }

  /// - Parameter clip: a clip of the training index, or a draw of it (`EpochOrders`).
  func trainingRequest(_ clip: Int) -> ClipRequest { request(clip, of: train, in: recipe.data.trainVideos) }

  func validationRequest(_ clip: Int) -> ClipRequest { request(clip, of: validation, in: recipe.data.validationVideos) }

  private func request(_ clip: Int, of index: ClipIndex, in videos: String) -> ClipRequest {
    let entry = index.clips[clip % index.clips.count]
    return ClipRequest(
      path: clipPath(data: dataPath, videos: videos, path: entry.path),
      range: entry.bytesInShard, first: entry.first,
      frames: entry.frames, isProved: entry.isProved, head: FileHead(code: entry.head), clip: clip,
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
      scales: recipe.data.multiScale ? [1, 0.875, 0.75, 0.66] : [1],
      cropArea: recipe.data.cropArea,
      pixels: PixelRule(
        colour: recipe.data.colourJitter, hue: recipe.data.hueJitter, erasing: recipe.data.erasing),
      scaleUp: recipe.data.evaluationScaleUp,
      view: view)
  }
}
