// A lane: the memory in which a thread, or a few, train or evaluate up to a fixed number of clips.
import CKernels
import Shared

/// Which random numbers a lane's dropout draws.
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

/// What a training pass over a lane gives besides the gradients.
public struct LaneResult {
  /// Cross-entropy of each clip.
  public let losses: [Float]
  /// [clips, classes]
  public let logits: [Float]
  /// Clips whose label has the largest logit; of equal logits the lower class wins.
  public let top1: Int
  /// Clips whose label is among the five largest logits.
  public let top5: Int
  /// The lane's own batch statistics in the order of `layout.statistics`: mean, and unbiased variance.
  public let batchStatistics: FloatStorage
}

/// Activations, gradients and workspaces, planned when it is made; a step allocates nothing of size.
///
/// A lane belongs to one thread at a time, which others may help. Its results are a pure function of the arguments,
/// however many help.
public final class Lane {
  public let network: Network
  public let maximumClips: Int
  /// Clips of the present pass.
  private(set) var clips = 0
  /// Mean, and unbiased variance, of the present pass; in the order of `layout.statistics`.
  let moments: FloatStorage
  /// 1/√(variance + ε) at the offsets of the variances.
  let inverseDeviations: FloatStorage
  private(set) var pass = Pass.training

  enum Pass {
    /// Forward, on the batch's own statistics.
    case training
    /// Back again, where some results are made a second time.
    case backward
    /// Forward, on statistics that training left.
    case evaluation(FloatStorage)
  }

  private let plan: MemoryPlan
  private let evaluationPlan: MemoryPlan
  private let evaluationLayers: [any ForwardLayer]
  private let arena: AlignedStorage<UInt8>
  let team: Team
  /// Of each thread, and how many floats it is.
  private let work: FloatStorage
  private let workCount: Int
  private let gradientScratch: FloatStorage
  /// Vectors of a number a channel, and the floats of each.
  private let vectors: FloatStorage
  private let vectorCount: Int
  private let sumScratch: AlignedStorage<Double>
  private let head: Head
  private var parameters: FloatStorage
  private var input: FloatStorage
  /// The input in bfloat16, where activations are.
  private let bf16Input: AlignedStorage<UInt16>

  /// - Parameters:
  ///   - maximumClips: the most clips of a call; memory is proportional to it.
  ///   - training: false for a lane that only evaluates, in a fraction of the memory.
  ///   - threads: what shares the work of a pass, the caller's included.
  public init(_ network: Network, maximumClips: Int, training: Bool = true, threads: Int = 1) {
    precondition(maximumClips > 0, "a lane of \(maximumClips) clips")
    let structure = network.structure
    self.network = network
    self.maximumClips = maximumClips
    evaluationPlan = MemoryPlan(evaluating: structure)
    plan = training ? MemoryPlan(training: structure) : evaluationPlan
    evaluationLayers = structure.evaluationLayers
    arena = AlignedStorage(count: max(plan.count, evaluationPlan.count) * maximumClips * network.elementBytes)
    moments = FloatStorage(count: network.layout.statisticCount)
    inverseDeviations = FloatStorage(count: network.layout.statisticCount)
    parameters = FloatStorage(count: 0)
    input = FloatStorage(count: 0)
    bf16Input = AlignedStorage(count: network.precision == .bf16 ? maximumClips * network.inputCount : 0)

    team = Team(threads)
    var scratch = structure.head.scratch
    // The last lane of an epoch may be shorter, and fewer images need not mean less room.
    for clips in 1...maximumClips {
      for layer in training ? structure.layers : [] {
        scratch.grow(to: layer.scratch(clips: clips, network.engine, team))
      }
      for layer in evaluationLayers { scratch.grow(to: layer.scratch(clips: clips, network.engine, team)) }
    }
    // In whole cache lines.
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

  /// Bytes of the lane's arena and workspaces.
  public var memoryBytes: Int { arena.count + 4 * (work.count + gradientScratch.count) }

  /// Forward, loss and backward over the lane's clips in training form.
  ///
  /// - Parameters:
  ///   - parameters: in the order of `layout.parameters`.
  ///   - input: [clips·T, H, W, 3], normalised; there may be room for more clips behind.
  ///   - labels: one class a clip, 0..<classes.
  ///   - gradient: takes the gradient of the **sum** of the clips' losses for one parameter after the other, as soon
  ///     as it is finished: the index in `layout.parameters`, and the numbers, valid during the call.
  /// - Throws: what `gradient` throws.
  public func train(
    parameters: FloatStorage, input: FloatStorage, labels: [Int], dropout: DropoutKey, gradient: GradientSink
  ) throws -> LaneResult {
    precondition(canTrain, "this lane was made for evaluation")
    precondition(labels.allSatisfy { (0..<network.classes).contains($0) }, "a label is no class")
    let mode = tamring_enter_lane_mode()
    defer { tamring_leave_lane_mode(mode) }
    forward(parameters, input, clips: labels.count, .training, dropout)
    let (losses, top1, top5) = head.loss(labels)
    let logits = head.logits.array(0..<clips * network.classes)
    pass = .backward
    try unsafe head.backward(self, gradient)
    let layers = network.structure.layers
    for (i, layer) in layers.enumerated().reversed() {
      for remade in plan.remade[i] { layers[remade].forward(self) }
      try unsafe layer.backward(self, plan.roles[i], gradient)
    }
    let statistics = FloatStorage(count: moments.count)
    statistics.copy(from: moments)
    return LaneResult(losses: losses, logits: logits, top1: top1, top5: top5, batchStatistics: statistics)
  }

  /// Calls `body` with each number below `pieces`, shared by the lane's threads: for what a gradient's sink does.
  public func share(_ pieces: Int, _ body: (Int) -> Void) {
    team.part(pieces) { pieces, _ in for piece in pieces { body(piece) } }
  }

  /// The logits [clips, classes] in evaluation form: running statistics, no dropout.
  public func evaluate(
    parameters: FloatStorage, statistics: FloatStorage, input: FloatStorage, clips: Int
  ) -> [Float] {
    precondition(statistics.count == network.layout.statisticCount, "statistics of another network")
    let mode = tamring_enter_lane_mode()
    defer { tamring_leave_lane_mode(mode) }
    forward(parameters, input, clips: clips, .evaluation(statistics), nil)
    return head.logits.array(0..<clips * network.classes)
  }

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
      for layer in network.structure.layers { layer.forward(self) }
    }
    head.forward(self, dropout)
  }
}

// What layers see of the lane.
extension Lane {
  var engine: any ConvolutionEngine { network.engine }

  /// Whether activations and their gradients are bf16, else float.
  var bf16: Bool { network.precision == .bf16 }
  /// Bytes of one of them.
  var elementBytes: Int { network.elementBytes }

  /// The value's first element; for the input, which is only read, the caller's memory or the bf16 copy of it.
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

  func gradient(_ index: Int) -> UnsafeMutableRawPointer {
    unsafe UnsafeMutableRawPointer(arena.base + plan.gradients[index] * maximumClips * elementBytes)
  }

  /// A number a channel of activations, as floats; they may take the first of `channelValues`.
  func floats(_ activations: UnsafeRawPointer, _ channels: Int) -> UnsafePointer<Float> {
    guard bf16 else { return unsafe activations.assumingMemoryBound(to: Float.self) }
    unsafe tamring_from_bf16(activations, Int64(channels), channelValues(0))
    return unsafe UnsafePointer(channelValues(0))
  }

  func parameter(_ tensor: TensorReference) -> UnsafePointer<Float> {
    unsafe UnsafePointer(parameters.base + tensor.offset)
  }

  /// Each thread's own.
  func workspace(_ thread: Int) -> UnsafeMutablePointer<Float> { unsafe work.base + thread * workCount }

  /// Where a layer writes a parameter's gradient before it emits it.
  var parameterGradient: UnsafeMutablePointer<Float> { unsafe gradientScratch.base }

  /// Hands over the gradient of `tensor`, which begins at `parameterGradient + offset`.
  func emit(_ tensor: TensorReference, at offset: Int = 0, _ sink: GradientSink) throws {
    try unsafe sink(tensor.index, UnsafeBufferPointer(start: gradientScratch.base + offset, count: tensor.count))
  }

  /// One of the vectors of a number a channel.
  func channelValues(_ index: Int) -> UnsafeMutablePointer<Float> { unsafe vectors.base + index * vectorCount }

  /// Repeats a vector of a number a channel to its span, in one of six places behind four vectors.
  func expand(_ values: UnsafePointer<Float>, _ channels: Int, _ place: Int) -> UnsafePointer<Float> {
    let expanded = unsafe channelValues(4 + place)
    unsafe tamring_expand(values, Int64(channels), tamring_span(Int64(channels)), expanded)
    return unsafe UnsafePointer(expanded)
  }

  /// The most parts of a sum.
  private static let mostParts = 8

  /// Sums over `rows`, which are parted and put together again in a way that depends on their number alone. `body` adds
  /// those of a range of rows to zeroed sums.
  /// - Parameters:
  ///   - count: of the sums; rows: what is gone through, of which a part has `unit` times some.
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
