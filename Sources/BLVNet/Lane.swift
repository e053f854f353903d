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
/// Batch norms take their statistics over groups of clips, which are as even as can be.
///
/// A lane belongs to one thread at a time, and a team of threads may help it. Results are a pure function of the
/// arguments, whatever the number of threads.
public final class Lane {
  public let network: Network
  public let maximumClips: Int
  /// The number of clips in the present pass.
  private(set) var clips = 0
  /// The most clips of a group over which batch norms take their statistics.
  private let groupClips: Int
  /// Mean and unbiased variance of the present pass, in the order of `layout.statistics`, group by group.
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
  private let memory: LaneMemory
  /// The numbers of clips for which the layers have what they need.
  private var prepared: Set<Int> = []
  private let head: Head
  private var parameters: FloatStorage
  private var input: FloatStorage

  /// - Parameters:
  ///   - maximumClips: the most clips per call; memory is proportional to it.
  ///   - training: false for a lane that only evaluates, which needs a fraction of the memory.
  ///   - threads: how many threads share a pass, including the caller's.
  public convenience init(_ network: Network, maximumClips: Int, training: Bool = true, threads: Int = 1) {
    self.init(
      network, maximumClips: maximumClips, groupClips: maximumClips, training: training,
      in: LaneMemory(threads: threads))
    // An epoch's last lane may have fewer clips, and fewer images can need more scratch.
    for clips in 1...maximumClips { prepare(clips) }
  }

  /// A lane for clips of another shape, in the memory of `other`: they must not work at the same time.
  /// - Parameters:
  ///   - network: the same for another shape.
  ///   - sizes: the numbers of clips that most passes have. For others, the first pass may take more memory.
  ///   - groupClips: the most clips over which batch norms take their statistics.
  public convenience init(_ network: Network, sizes: Set<Int>, groupClips: Int, sharing other: Lane) {
    precondition(network.layout == other.network.layout, "lanes of different networks")
    self.init(
      network, maximumClips: sizes.max() ?? 1, groupClips: groupClips, training: other.canTrain, in: other.memory)
    for clips in sizes { prepare(clips) }
  }

  private init(_ network: Network, maximumClips: Int, groupClips: Int, training: Bool, in memory: LaneMemory) {
    precondition(maximumClips > 0 && groupClips > 0, "a lane of \(maximumClips) clips, in groups of \(groupClips)")
    let structure = network.structure
    self.network = network
    self.maximumClips = maximumClips
    self.groupClips = groupClips
    self.memory = memory
    evaluationPlan = MemoryPlan(evaluating: structure)
    plan = training ? MemoryPlan(training: structure) : evaluationPlan
    trainingLayers = training ? structure.trainingLayers : []
    evaluationLayers = structure.evaluationLayers
    memory.grow(
      arena: max(plan.count, evaluationPlan.count) * maximumClips * network.elementBytes,
      bf16Input: network.precision == .bf16 ? maximumClips * network.inputCount : 0)
    memory.grow(to: structure.head.scratch)
    let groups = (maximumClips + groupClips - 1) / groupClips
    moments = FloatStorage(count: groups * network.layout.statisticCount)
    inverseDeviations = FloatStorage(count: groups * network.layout.statisticCount)
    parameters = FloatStorage(count: 0)
    input = FloatStorage(count: 0)
    running = FloatStorage(count: 0)
    head = Head(structure.head, maximumClips: maximumClips)
    canTrain = training
  }

  private let canTrain: Bool

  /// Lets the layers prepare for passes over so many clips.
  private func prepare(_ clips: Int) {
    guard prepared.insert(clips).inserted else { return }
    var scratch = LayerScratch()
    for layer in trainingLayers { scratch.grow(to: layer.scratch(clips: clips, engine, team)) }
    for layer in evaluationLayers { scratch.grow(to: layer.scratch(clips: clips, engine, team)) }
    memory.grow(to: scratch)
  }

  /// The bytes of the lane's arena and workspaces.
  public var memoryBytes: Int { memory.bytes }

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
    return LaneResult(
      losses: losses, weight: targets.reduce(0) { $0 + loss.weight(of: $1) }, logits: logits, top1: top1, top5: top5,
      batchStatistics: batchStatistics())
  }

  /// The clip-weighted means over the groups of what batch norms measured; of frozen ones, what they used.
  private func batchStatistics() -> FloatStorage {
    let count = network.layout.statisticCount
    let statistics = FloatStorage(count: count)
    unsafe statistics.base.update(from: moments.base, count: count)
    guard groupCount > 1 else { return statistics }
    for tensor in network.layout.statistics where !tensor.isFrozen {
      for i in tensor.range {
        var sum = 0.0
        for number in 0..<groupCount { sum += Double(group(number).count) * Double(moments[number * count + i]) }
        statistics[i] = Float(sum / Double(clips))
      }
    }
    return statistics
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

  /// The batch's own statistics in the order of `layout.statistics`, mean and unbiased variance, of a forward pass as
  /// in training, without dropout.
  public func batchStatistics(
    parameters: FloatStorage, statistics: FloatStorage, input: FloatStorage, clips: Int
  ) -> FloatStorage {
    precondition(canTrain, "this lane was made for evaluation")
    precondition(statistics.count == network.layout.statisticCount, "statistics of another network")
    let mode = tamring_enter_lane_mode()
    defer { tamring_leave_lane_mode(mode) }
    running = statistics
    forward(parameters, input, clips: clips, .training, nil)
    return batchStatistics()
  }

  /// [clips, C]: the mean over space and frames of the features, as the classifier saw them in the last pass.
  public var pooledFeatures: [Float] { head.pooledFeatures(clips: clips) }

  private func forward(
    _ parameters: FloatStorage, _ input: FloatStorage, clips: Int, _ pass: Pass, _ dropout: DropoutKey?
  ) {
    precondition((1...maximumClips).contains(clips), "\(clips) clips in a lane of \(maximumClips)")
    precondition(parameters.count == network.layout.parameterCount, "parameters of another network")
    precondition(input.count >= clips * network.inputCount, "too little input for \(clips) clips")
    prepare(clips)
    self.clips = clips
    self.parameters = parameters
    self.input = input
    self.pass = pass
    if bf16 {
      team.part(clips * network.inputCount, by: 4096) { range, _ in
        unsafe tamring_to_bf16(
          input.base + range.lowerBound, Int64(range.count), memory.bf16Input.base + range.lowerBound)
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

  var team: Team { memory.team }

  /// How many groups the pass's clips have, over which batch norms take their statistics; and the clips of one.
  var groupCount: Int { (clips + groupClips - 1) / groupClips }
  func group(_ number: Int) -> Range<Int> { Team.part(number, of: groupCount, clips) }

  /// Whether activations and their gradients are bf16; else they are floats.
  var bf16: Bool { network.precision == .bf16 }
  /// Bytes per activation.
  var elementBytes: Int { network.elementBytes }

  /// The value's first element. For the read-only input, this is the caller's memory or the bf16 copy of it.
  func value(_ index: Int) -> UnsafeMutableRawPointer {
    if index == 0 {
      return unsafe bf16 ? UnsafeMutableRawPointer(memory.bf16Input.base) : UnsafeMutableRawPointer(input.base)
    }
    let offset =
      switch pass {
      case .training: plan.values[index]
      case .backward: plan.valuesBackward[index]
      case .evaluation: evaluationPlan.values[index]
      }
    return unsafe UnsafeMutableRawPointer(memory.arena.base + offset * maximumClips * elementBytes)
  }

  /// Whether the backward pass computes the value's gradient.
  func hasGradient(_ index: Int) -> Bool { plan.gradients[index] >= 0 }

  func gradient(_ index: Int) -> UnsafeMutableRawPointer {
    unsafe UnsafeMutableRawPointer(memory.arena.base + plan.gradients[index] * maximumClips * elementBytes)
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
  func workspace(_ thread: Int) -> UnsafeMutablePointer<Float> {
    unsafe memory.work.base + thread * memory.workCount
  }

  /// Where a layer writes a parameter's gradient before it emits it.
  var parameterGradient: UnsafeMutablePointer<Float> { unsafe memory.gradientScratch.base }

  /// Passes the gradient of `tensor`, which begins at `parameterGradient + offset`, to the sink, unless it is frozen.
  func emit(_ tensor: TensorReference, at offset: Int = 0, _ sink: GradientSink) throws {
    guard !tensor.isFrozen else { return }
    try unsafe sink(tensor.index, UnsafeBufferPointer(start: parameterGradient + offset, count: tensor.count))
  }

  /// One of the per-channel vectors.
  func channelValues(_ index: Int) -> UnsafeMutablePointer<Float> {
    unsafe memory.vectors.base + index * memory.vectorCount
  }

  /// Repeats a per-channel vector to its span, in one of six slots behind the four vectors.
  func expand(_ values: UnsafePointer<Float>, _ channels: Int, _ place: Int) -> UnsafePointer<Float> {
    let expanded = unsafe channelValues(4 + place)
    unsafe tamring_expand(values, Int64(channels), tamring_span(Int64(channels)), expanded)
    return unsafe UnsafePointer(expanded)
  }

  /// Sums over `rows`. How they are divided and combined depends on their number alone, never on the threads. `body`
  /// adds a range of rows to zeroed sums.
  /// - Parameters:
  ///   - count: the number of sums; rows: what is summed over, in parts that are multiples of `unit`.
  func sums(
    _ count: Int, over rows: Int, by unit: Int, _ body: (Range<Int>, UnsafeMutablePointer<Double>) -> Void
  ) -> UnsafePointer<Double> {
    let parts = max(1, min(LaneMemory.mostParts, (rows + unit - 1) / unit))
    let all = unsafe memory.sumScratch.base
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
