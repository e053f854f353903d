// A lane (a micro-batch): the memory in which one thread, or a few, train or evaluate up to a fixed number of clips.
import CKernels
import Shared

/// The key of a lane's dropout.
public struct DropoutKey: Sendable, Hashable {
  public var seed: UInt64
  public var step: UInt64
  public var lane: Int

  public init(seed: UInt64, step: UInt64, lane: Int) {
    self.seed = seed
    self.step = step
    self.lane = lane
  }
}

/// The results of a training pass over a lane, besides the gradients.
public struct LaneResult {
  /// The loss of each clip.
  public let losses: [Float]
  /// The sum of the clips' weights in the loss: their number, if classes have no weights.
  public let weight: Double
  /// [clips, classes]
  public let logits: [Float]
  /// How many clips have a class of theirs (of a mixture, the larger one) at the largest logit; of equal logits, the
  /// lower class wins.
  public let top1: Int
  /// How many clips have a class of theirs among the five largest logits.
  public let top5: Int
  /// The lane's own batch statistics in the order of `layout.statistics`: mean, and unbiased variance.
  public let batchStatistics: FloatStorage
}

/// Activations, gradients and workspaces, planned when the lane is made. A step allocates no large memory.
///
/// A lane belongs to one thread at a time, and a team of threads may help it. Results are a pure function of the
/// arguments, whatever the number of threads.
public final class Lane {
  public let network: Network
  public let maximumClips: Int
  /// The number of clips in the present pass.
  private(set) var clips = 0
  /// Mean and unbiased variance of the present pass, in the order of `layout.statistics`.
  let moments: FloatStorage
  /// 1/√(variance + ε) at the offsets of the variances.
  let inverseDeviations: FloatStorage
  private(set) var pass = Pass.training
  /// The running statistics that training left, for evaluation and for frozen batch norms.
  private(set) var running: FloatStorage

  enum Pass {
    /// Forward, with the batch's own statistics.
    case training
    /// Backward, where some results are recomputed.
    case backward
    /// Forward, with the running statistics that training left.
    case evaluation
  }

  private let plan: MemoryPlan
  private let evaluationPlan: MemoryPlan
  private let trainingLayers: [any Layer]
  private let evaluationLayers: [any ForwardLayer]
  private let arena: AlignedStorage<UInt8>
  let team: Team
  /// One workspace for each thread, and its size in floats.
  private let work: FloatStorage
  private let workCount: Int
  private let gradientScratch: FloatStorage
  /// Per-channel vectors, and the floats of each.
  private let vectors: FloatStorage
  private let vectorCount: Int
  private let sumScratch: AlignedStorage<Double>
  private let head: Head
  private var parameters: FloatStorage
  private var input: FloatStorage
  /// The input converted to bf16, if activations are bf16.
  private let bf16Input: AlignedStorage<UInt16>

  /// - Parameters:
  ///   - maximumClips: the most clips per call; memory is proportional to it.
  ///   - training: false for a lane that only evaluates, which needs a fraction of the memory.
  ///   - threads: how many threads share a pass, including the caller's.
  public init(_ network: Network, maximumClips: Int, training: Bool = true, threads: Int = 1) {
    precondition(maximumClips > 0, "a lane of \(maximumClips) clips")
    let structure = network.structure
    self.network = network
    self.maximumClips = maximumClips
    evaluationPlan = MemoryPlan(evaluating: structure)
    plan = training ? MemoryPlan(training: structure) : evaluationPlan
    trainingLayers = training ? structure.trainingLayers : []
    evaluationLayers = structure.evaluationLayers
    arena = AlignedStorage(count: max(plan.count, evaluationPlan.count) * maximumClips * network.elementBytes)
    moments = FloatStorage(count: network.layout.statisticCount)
    inverseDeviations = FloatStorage(count: network.layout.statisticCount)
    parameters = FloatStorage(count: 0)
    input = FloatStorage(count: 0)
    running = FloatStorage(count: 0)
    bf16Input = AlignedStorage(count: network.precision == .bf16 ? maximumClips * network.inputCount : 0)

    team = Team(threads)
    var scratch = structure.head.scratch
    // An epoch's last lane may have fewer clips, and fewer images can need more scratch.
    for clips in 1...maximumClips {
      for layer in trainingLayers {
        scratch.grow(to: layer.scratch(clips: clips, network.engine, team))
      }
      for layer in evaluationLayers { scratch.grow(to: layer.scratch(clips: clips, network.engine, team)) }
    }
    // Round up to whole cache lines.
    workCount = (scratch.workspace + 15) / 16 * 16
    work = FloatStorage(count: workCount * threads)
    gradientScratch = FloatStorage(count: scratch.gradient)
    vectorCount = scratch.span
    vectors = FloatStorage(count: scratch.vectors * vectorCount)
    sumScratch = AlignedStorage(count: Self.mostParts * scratch.sums)
    head = Head(structure.head, maximumClips: maximumClips)
    canTrain = training
  }

  private let canTrain: Bool

  /// The bytes of the lane's arena and workspaces.
  public var memoryBytes: Int { arena.count + 4 * (work.count + gradientScratch.count) }

  /// Forward, loss and backward over the lane's clips, for training.
  ///
  /// - Parameters:
  ///   - parameters: in the order of `layout.parameters`.
  ///   - statistics: the running statistics, which frozen batch norms use; nil for a network without any.
  ///   - input: [clips·T, H, W, 3], normalised; the storage may be longer.
  ///   - targets: one per clip, of classes in 0..<classes; of several classes only for a binary loss.
  ///   - gradient: receives the gradient of the **sum** of the clips' losses, one parameter after the other, as soon as
  ///     it is complete: the index in `layout.parameters`, and the numbers, valid during the call.
  /// - Throws: what `gradient` throws.
  public func train(
    parameters: FloatStorage, statistics: FloatStorage? = nil, input: FloatStorage, targets: [ClassTarget],
    loss: ClassLoss = ClassLoss(), dropout: DropoutKey, gradient: GradientSink
  ) throws -> LaneResult {
    precondition(canTrain, "this lane was made for evaluation")
    let classes = 0..<network.classes
    precondition(targets.allSatisfy { $0.classes.allSatisfy(classes.contains) }, "a label is no class")
    precondition(loss.weights.isEmpty || loss.weights.count == network.classes, "the weights are of other classes")
    precondition(
      loss.kind == .binary || targets.allSatisfy { $0.classes.count == 1 || $0.share != nil },
      "a clip of several classes needs a binary loss")
    precondition(
      statistics?.count ?? 0 == network.layout.statisticCount || !network.layout.statistics.contains(where: \.isFrozen),
      "frozen batch norms need the network's statistics")
    let mode = tamring_enter_lane_mode()
    defer { tamring_leave_lane_mode(mode) }
    running = statistics ?? running
    forward(parameters, input, clips: targets.count, .training, dropout)
    let (losses, top1, top5) = head.loss(targets, loss)
    let logits = head.logits.array(0..<clips * network.classes)
    pass = .backward
    try unsafe head.backward(self, gradient)
    for (i, layer) in trainingLayers.enumerated().reversed() where plan.runsBackward[i] {
      for earlier in plan.recomputed[i] { trainingLayers[earlier].forward(self) }
      try unsafe layer.backward(self, plan.roles[i], gradient)
    }
    let batchStatistics = FloatStorage(count: moments.count)
    batchStatistics.copy(from: moments)
    return LaneResult(
      losses: losses, weight: targets.reduce(0) { $0 + loss.weight(of: $1) }, logits: logits, top1: top1, top5: top5,
      batchStatistics: batchStatistics)
  }

  /// The same for clips of one class each.
  public func train(
    parameters: FloatStorage, input: FloatStorage, labels: [Int], dropout: DropoutKey, gradient: GradientSink
  ) throws -> LaneResult {
    try unsafe train(
      parameters: parameters, input: input, targets: labels.map { ClassTarget($0) }, dropout: dropout,
      gradient: gradient)
  }

  /// Calls `body` with each number below `pieces`, on the lane's threads: a parallel loop for the sink of a gradient.
  public func share(_ pieces: Int, _ body: (Int) -> Void) {
    team.part(pieces) { pieces, _ in for piece in pieces { body(piece) } }
  }

  /// The logits [clips, classes] for evaluation: running statistics, no dropout.
  public func evaluate(
    parameters: FloatStorage, statistics: FloatStorage, input: FloatStorage, clips: Int
  ) -> [Float] {
    precondition(statistics.count == network.layout.statisticCount, "statistics of another network")
    let mode = tamring_enter_lane_mode()
    defer { tamring_leave_lane_mode(mode) }
    running = statistics
    forward(parameters, input, clips: clips, .evaluation, nil)
    return head.logits.array(0..<clips * network.classes)
  }

  /// The batch's own statistics in the order of `layout.statistics`, mean and unbiased variance, of a forward pass as in
  /// training, without dropout.
  public func batchStatistics(
    parameters: FloatStorage, statistics: FloatStorage, input: FloatStorage, clips: Int
  ) -> FloatStorage {
    precondition(canTrain, "this lane was made for evaluation")
    precondition(statistics.count == network.layout.statisticCount, "statistics of another network")
    let mode = tamring_enter_lane_mode()
    defer { tamring_leave_lane_mode(mode) }
    running = statistics
    forward(parameters, input, clips: clips, .training, nil)
    let found = FloatStorage(count: moments.count)
    found.copy(from: moments)
    return found
  }

  /// [clips, C]: the mean over space and frames of the features, as the classifier saw them in the last pass.
  public var pooledFeatures: [Float] { head.pooledFeatures(clips: clips) }

  private func forward(
    _ parameters: FloatStorage, _ input: FloatStorage, clips: Int, _ pass: Pass, _ dropout: DropoutKey?
  ) {
    precondition((1...maximumClips).contains(clips), "\(clips) clips in a lane of \(maximumClips)")
    precondition(parameters.count == network.layout.parameterCount, "parameters of another network")
    precondition(input.count >= clips * network.inputCount, "too little input for \(clips) clips")
    self.clips = clips
    self.parameters = parameters
    self.input = input
    self.pass = pass
    if bf16 {
      team.part(clips * network.inputCount, by: 4096) { range, _ in
        unsafe tamring_to_bf16(input.base + range.lowerBound, Int64(range.count), bf16Input.base + range.lowerBound)
      }
    }
    if case .evaluation = pass {
      for layer in evaluationLayers { layer.forward(self) }
    } else {
      for layer in trainingLayers { layer.forward(self) }
    }
    head.forward(self, dropout)
  }
}

// The lane as its layers see it.
extension Lane {
  var engine: any ConvolutionEngine { network.engine }

  /// Whether activations and their gradients are bf16; else they are floats.
  var bf16: Bool { network.precision == .bf16 }
  /// Bytes per activation.
  var elementBytes: Int { network.elementBytes }

  /// The value's first element. For the read-only input, this is the caller's memory or the bf16 copy of it.
  func value(_ index: Int) -> UnsafeMutableRawPointer {
    if index == 0 {
      return unsafe bf16 ? UnsafeMutableRawPointer(bf16Input.base) : UnsafeMutableRawPointer(input.base)
    }
    let offset =
      switch pass {
      case .training: plan.values[index]
      case .backward: plan.valuesBackward[index]
      case .evaluation: evaluationPlan.values[index]
      }
    return unsafe UnsafeMutableRawPointer(arena.base + offset * maximumClips * elementBytes)
  }

  /// Whether the backward pass computes the value's gradient.
  func hasGradient(_ index: Int) -> Bool { plan.gradients[index] >= 0 }

  func gradient(_ index: Int) -> UnsafeMutableRawPointer {
    unsafe UnsafeMutableRawPointer(arena.base + plan.gradients[index] * maximumClips * elementBytes)
  }

  /// One pixel's channels as floats; may use the first of `channelValues`.
  func floats(_ activations: UnsafeRawPointer, _ channels: Int) -> UnsafePointer<Float> {
    guard bf16 else { return unsafe activations.assumingMemoryBound(to: Float.self) }
    unsafe tamring_from_bf16(activations, Int64(channels), channelValues(0))
    return unsafe UnsafePointer(channelValues(0))
  }

  func parameter(_ tensor: TensorReference) -> UnsafePointer<Float> {
    unsafe UnsafePointer(parameters.base + tensor.offset)
  }

  /// The workspace of a thread.
  func workspace(_ thread: Int) -> UnsafeMutablePointer<Float> { unsafe work.base + thread * workCount }

  /// Where a layer writes a parameter's gradient before it emits it.
  var parameterGradient: UnsafeMutablePointer<Float> { unsafe gradientScratch.base }

  /// Passes the gradient of `tensor`, which begins at `parameterGradient + offset`, to the sink, unless it is frozen.
  func emit(_ tensor: TensorReference, at offset: Int = 0, _ sink: GradientSink) throws {
    guard !tensor.isFrozen else { return }
    try unsafe sink(tensor.index, UnsafeBufferPointer(start: gradientScratch.base + offset, count: tensor.count))
  }

  /// One of the per-channel vectors.
  func channelValues(_ index: Int) -> UnsafeMutablePointer<Float> { unsafe vectors.base + index * vectorCount }

  /// Repeats a per-channel vector to its span, in one of six slots behind the four vectors.
  func expand(_ values: UnsafePointer<Float>, _ channels: Int, _ place: Int) -> UnsafePointer<Float> {
    let expanded = unsafe channelValues(4 + place)
    unsafe tamring_expand(values, Int64(channels), tamring_span(Int64(channels)), expanded)
    return unsafe UnsafePointer(expanded)
  }

  /// The most parts that a sum is divided into.
  private static let mostParts = 8

  /// Sums over `rows`. How they are divided and combined depends on their number alone, never on the threads. `body`
  /// adds a range of rows to zeroed sums.
  /// - Parameters:
  ///   - count: the number of sums; rows: what is summed over, in parts that are multiples of `unit`.
  func sums(
    _ count: Int, over rows: Int, by unit: Int, _ body: (Range<Int>, UnsafeMutablePointer<Double>) -> Void
  ) -> UnsafePointer<Double> {
    let parts = max(1, min(Self.mostParts, (rows + unit - 1) / unit))
    let all = unsafe sumScratch.base
    team.part(parts) { range, _ in
      for part in range {
        let sums = unsafe all + part * count
        unsafe sums.update(repeating: 0, count: count)
        unsafe body(Team.part(part, of: parts, rows, by: unit), sums)
      }
    }
    for part in stride(from: 1, to: parts, by: 1) {
      for i in 0..<count { unsafe all[i] += all[part * count + i] }
    }
    return unsafe UnsafePointer(all)
  }
}
