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
  /// For clips of the full shape.
  let network: Network
  /// How the epochs are cut into steps.
  let steps: StepPlan
  /// For clips of the shapes of some steps, which have the same tensors.
  private let resized: [ClipShape: Network]
  let train: ClipIndex
  let validation: ClipIndex
  let lastStep: UInt64
  /// This host's copy of the data.
  let dataPath: String
  /// Reads clips that are on the web.
  let remote: RemoteFiles
  let rule: any UpdateRule
  let settings: UpdateSettings
  let loss: ClassLoss
  let decoders: DecodingPool
  /// The numbers of the largest lane, if not all are alike: memory for one then does for all.
  private let largestLane: Int
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
    let engine = try recipe.makeEngine()
    network = try Network(recipe.model, engine: engine)
    steps = recipe.steps(clips: train.clips.count)
    let others = Set(steps.laneSizes.keys.map(\.shape)).subtracting([recipe.model.clipShape])
    resized = try Dictionary(
      uniqueKeysWithValues: others.map { ($0, try Network(recipe.model.taking($0), engine: engine)) })
    largestLane =
      steps.isUniform
      ? 0 : steps.laneSizes.keys.map { $0.clipsPerLane * $0.shape.elements }.max() ?? 0
    rule = try recipe.optimizer.makeRule()
    settings = try UpdateSettings(recipe.optimizer, network.layout)
    var counts = [Int](repeating: 0, count: recipe.model.classes)
    if recipe.loss.classWeights == .balanced {
      for place in train.clips.indices { counts[train.clips[place].label] += 1 }
    }
    loss = try ClassLoss(recipe.loss, counts: counts)
    // Two tries take less than it takes to find that reading does not go on.
    let silence = Duration.seconds(min(20, recipe.faults.hangSeconds / 3))
    decoders = isolatesDecoding ? DecodingPool(DecodingPool.Settings(silence: silence)) : .inThisProcess()
    orders = try EpochOrders(seed: recipe.seed, train, balanced: recipe.data.balanced)
  }

  /// Whether the state before `step` is kept as a checkpoint.
  func isCheckpoint(_ step: UInt64) -> Bool {
    let every = recipe.checkpoint.everySteps
    return every > 0 ? Int(step) % every == 0 : steps.stepInEpoch(step) == 0
  }

  /// Whether the state before `step` is evaluated while training goes on.
  func isValidated(_ step: UInt64) -> Bool {
    !validation.clips.isEmpty && steps.stepInEpoch(step) == 0
      && recipe.isValidated(afterEpochs: steps.epoch(of: step), step: Int(step))
  }

  /// One thread's lanes, or those of a few that work together: one for each shape of clips, in the same memory.
  func makeLanes(threads: Int) -> [ClipShape: Lane] {
    let full = Lane(network, maximumClips: recipe.batch.clipsPerLane, threads: threads)
    var lanes = [recipe.model.clipShape: full]
    for (grid, sizes) in steps.laneSizes {
      guard let network = resized[grid.shape] else { continue }
      lanes[grid.shape] = Lane(network, sizes: sizes, groupClips: recipe.batch.clipsPerLane, sharing: full)
    }
    return lanes
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
    let epoch = steps.epoch(of: step)
    let known = order.withLock { cached in
      if let cached, cached.epoch == epoch { return cached.order }
      let made = orders.order(epoch: epoch)
      cached = (epoch, made)
      return made
    }
    return known.clips(step: step, lane: lane, in: steps)
  }

  /// Mixes the clips of a lane, where the recipe wants that.
  /// - Parameters:
  ///   - batch: the lane's clips without the excluded ones.
  ///   - share: a parallel loop, as `Lane.share`.
  /// - Returns: what each clip then shows.
  func mix(_ batch: LaneBatch, step: UInt64, lane: Int, share: (Int, (Int) -> Void) -> Void) -> [ClassTarget] {
    let mixing = ClipMixing(recipe)
    guard mixing.isWanted else { return batch.labels.map { ClassTarget($0) } }
    let planned = plannedClips(step: step, lane: lane)
    let shape = steps.grid(of: step).shape
    let pairs = mixing.pairs(of: planned.count, size: shape.size, seed: recipe.seed, step: step, lane: lane)
    return ClipMixing.mix(
      pairs, planned: planned, trained: batch.clips, labels: batch.labels, batch.storage, frames: shape.frames,
      size: shape.size, share: share)
  }

  /// `ClipPairs` of what each lane of a step is to train.
  func clipDigests(step: UInt64) -> [Digest128] {
    (0..<recipe.batch.lanes).map { ClipPairs.digest(step: step, lane: $0, clips: clips(step: step, lane: $0)) }
  }

  /// What must be decoded for a lane; nil if it is empty.
  func job(step: UInt64, lane: Int) -> LaneJob? {
    let clips = clips(step: step, lane: lane).map { trainingRequest($0) }
    guard !clips.isEmpty else { return nil }
    let form = form(training: true, steps.grid(of: step).shape)
    return LaneJob(clips: clips, form: form, epoch: steps.epoch(of: step), room: largestLane)
  }

  /// - Parameter clip: a clip of the training index, or a draw of it (`EpochOrders`).
  func trainingRequest(_ clip: Int) -> ClipRequest { request(clip, of: train, in: recipe.data.trainVideos) }

  func validationRequest(_ clip: Int) -> ClipRequest { request(clip, of: validation, in: recipe.data.validationVideos) }

  private func request(_ clip: Int, of index: ClipIndex, in videos: String) -> ClipRequest {
    let entry = index.clips[clip % index.clips.count]
    return ClipRequest(
      path: clipPath(data: dataPath, videos: videos, path: entry.path),
      range: entry.bytesInShard, first: entry.first,
      frames: entry.frames, isProved: entry.isProved, head: FileHead(code: entry.head), clip: clip, label: entry.label,
      expectedBytes: entry.bytes,
      expectedHash: entry.hash)
  }

  /// How frames are taken from a clip.
  /// - Parameter shape: what is wanted of it, if not the full shape. It covers the same time and the same pixels.
  func form(training: Bool, view: ClipView = ClipView(), _ shape: ClipShape? = nil) -> ClipForm {
    let shape = shape ?? recipe.model.clipShape
    let sampling: FrameSampling =
      recipe.data.sampling == .dense
      ? .dense(stride: recipe.data.denseStride * recipe.model.groups / shape.frames) : .uniform
    return ClipForm(
      frames: shape.frames, size: shape.size, sampling: sampling,
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
