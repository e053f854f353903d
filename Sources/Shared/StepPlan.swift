// The steps of a run, as a pure function of the recipe and the number of clips: to which epoch a step belongs, which
// places of the epoch's order its lanes take, and how many frames and pixels the network sees of a clip.

/// The shape of a clip.
public struct ClipShape: Hashable, Sendable {
  /// Frames (T).
  public let frames: Int
  /// Pixels on a side (S).
  public let size: Int

  public init(frames: Int, size: Int) { (self.frames, self.size) = (frames, size) }

  /// How many numbers a clip has: T·S·S·3.
  public var elements: Int { frames * size * size * 3 }
}

/// How the epochs of a run are cut into steps, and steps into lanes. Step i of an epoch takes the places after those of
/// the steps before it, lane by lane. The lanes of an epoch's short last step fill in order, and nothing is padded,
/// repeated or dropped.
///
/// Steps count from the start of the run, epochs from 0.
public struct StepPlan: Hashable, Sendable {
  /// The lanes of a step: how many clips each has, and their shape.
  public struct Grid: Hashable, Sendable {
    public let shape: ClipShape
    public let clipsPerLane: Int

    public init(_ shape: ClipShape, clipsPerLane: Int) {
      precondition(clipsPerLane > 0, "a lane of \(clipsPerLane) clips")
      (self.shape, self.clipsPerLane) = (shape, clipsPerLane)
    }
  }

  /// Epochs that are cut alike.
  public struct Stage: Hashable, Sendable {
    /// How many. The run's last stage has no end: here may be any number.
    public let epochs: Int
    /// The grids of an epoch's steps: one after the other, again and again.
    public let cycle: [Grid]
    /// What multiplies the learning rate of the schedule.
    public let rateFactor: Int

    public init(epochs: Int, cycle: [Grid], rateFactor: Int = 1) {
      precondition(!cycle.isEmpty, "a stage without a grid")
      (self.epochs, self.cycle, self.rateFactor) = (epochs, cycle, rateFactor)
    }
  }

  /// Where a stage begins.
  private struct Start: Hashable {
    let epoch: Int
    let step: Int
    let stepsPerEpoch: Int
  }

  /// Clips of an epoch.
  public let clips: Int
  public let lanes: Int
  public let stages: [Stage]
  private let starts: [Start]

  public init(clips: Int, lanes: Int, stages: [Stage]) {
    precondition(clips >= 0 && lanes > 0 && !stages.isEmpty, "\(clips) clips, \(lanes) lanes, \(stages.count) stages")
    precondition(stages.dropLast().allSatisfy { $0.epochs > 0 }, "a stage without an epoch")
    (self.clips, self.lanes, self.stages) = (clips, lanes, stages)
    var starts: [Start] = []
    var (epoch, step) = (0, 0)
    for stage in stages {
      let steps = Self.steps(for: clips, stage.cycle.map { $0.clipsPerLane * lanes })
      starts.append(Start(epoch: epoch, step: step, stepsPerEpoch: steps))
      if starts.count < stages.count { (epoch, step) = (epoch + stage.epochs, step + stage.epochs * steps) }
    }
    self.starts = starts
  }

  /// A plan whose steps are all alike.
  public init(clips: Int, lanes: Int, clipsPerLane: Int, shape: ClipShape = ClipShape(frames: 1, size: 1)) {
    self.init(clips: clips, lanes: lanes, stages: [Stage(epochs: 0, cycle: [Grid(shape, clipsPerLane: clipsPerLane)])])
  }

  /// A plan of which nothing but the number of steps matters.
  public init(stepsPerEpoch: Int) { self.init(clips: stepsPerEpoch, lanes: 1, clipsPerLane: 1) }

  /// The steps that batches of these sizes, one after the other, need for an epoch: at least 1.
  private static func steps(for clips: Int, _ batches: [Int]) -> Int {
    let cycle = batches.reduce(0, +)
    var (steps, left) = (clips / cycle * batches.count, clips % cycle)
    for batch in batches where left > 0 {
      steps += 1
      left -= batch
    }
    return max(1, steps)
  }

  // MARK: Epochs

  /// Whether all steps are alike.
  public var isUniform: Bool { stages.count == 1 && stages[0].cycle.count == 1 }

  private func stage(ofStep step: Int) -> Int { (starts.lastIndex { $0.step <= step }) ?? 0 }

  private func stage(ofEpoch epoch: Int) -> Int { (starts.lastIndex { $0.epoch <= epoch }) ?? 0 }

  public func epoch(of step: some BinaryInteger) -> Int {
    let step = Int(clamping: step)
    let start = starts[stage(ofStep: step)]
    return start.epoch + (step - start.step) / start.stepsPerEpoch
  }

  /// Counted from the start of the epoch.
  public func stepInEpoch(_ step: some BinaryInteger) -> Int {
    let step = Int(clamping: step)
    let start = starts[stage(ofStep: step)]
    return (step - start.step) % start.stepsPerEpoch
  }

  /// The number of steps before an epoch; the largest number if it is beyond that.
  public func firstStep(ofEpoch epoch: Int) -> Int {
    let start = starts[stage(ofEpoch: epoch)]
    let (steps, overflow) = (epoch - start.epoch).multipliedReportingOverflow(by: start.stepsPerEpoch)
    let (sum, beyond) = start.step.addingReportingOverflow(steps)
    return overflow || beyond ? .max : sum
  }

  /// The number of steps of an epoch.
  public func steps(inEpoch epoch: Int) -> Int { starts[stage(ofEpoch: epoch)].stepsPerEpoch }

  /// Of an epoch of the run's last stage.
  public var lastStepsPerEpoch: Int { starts[starts.count - 1].stepsPerEpoch }

  /// The steps of so many epochs, of which the last may be a part.
  public func steps(inEpochs epochs: Double) -> Double {
    guard starts.count > 1 else { return epochs * Double(starts[0].stepsPerEpoch) }
    let whole = Int(min(max(epochs, 0), 1e9))
    return Double(firstStep(ofEpoch: whole)) + (epochs - Double(whole)) * Double(steps(inEpoch: whole))
  }

  /// How many epochs so many steps begin.
  public func epochs(ofSteps steps: some BinaryInteger) -> Int { steps == 0 ? 0 : epoch(of: steps - 1) + 1 }

  /// Whether a step is the last of its epoch.
  public func endsEpoch(_ step: some BinaryInteger) -> Bool { stepInEpoch(step) + 1 == steps(inEpoch: epoch(of: step)) }

  // MARK: A step

  public func rateFactor(of step: some BinaryInteger) -> Int { stages[stage(ofStep: Int(clamping: step))].rateFactor }

  public func grid(of step: some BinaryInteger) -> Grid { place(of: step).grid }

  /// Clips of a step that is not cut short.
  public func fullClips(of step: some BinaryInteger) -> Int { grid(of: step).clipsPerLane * lanes }

  /// How many clips a step takes.
  public func clips(inStep step: some BinaryInteger) -> Int {
    let (first, grid) = place(of: step)
    return bounded(first + grid.clipsPerLane * lanes) - bounded(first)
  }

  /// The places in the epoch's order that a lane of a step takes.
  public func positions(step: some BinaryInteger, lane: Int) -> Range<Int> {
    precondition(step >= 0 && (0..<lanes).contains(lane), "step \(step), lane \(lane) of \(lanes)")
    let (first, grid) = place(of: step)
    let start = first + lane * grid.clipsPerLane
    return bounded(start)..<bounded(start + grid.clipsPerLane)
  }

  /// Where a step begins in its epoch's order, and its grid.
  private func place(of step: some BinaryInteger) -> (first: Int, grid: Grid) {
    let cycle = stages[stage(ofStep: Int(clamping: step))].cycle
    let (rounds, rest) = stepInEpoch(step).quotientAndRemainder(dividingBy: cycle.count)
    func clips(_ grids: some Sequence<Grid>) -> Int { grids.reduce(0) { $0 + $1.clipsPerLane } * lanes }
    return (rounds * clips(cycle) + clips(cycle[..<rest]), cycle[rest])
  }

  private func bounded(_ position: Int) -> Int { min(position, clips) }

  // MARK: All grids

  /// The grids of the plan, and of each the numbers of clips that a lane of it can have.
  public var laneSizes: [Grid: Set<Int>] {
    var sizes: [Grid: Set<Int>] = [:]
    for (stage, start) in zip(stages, starts) {
      for grid in stage.cycle { sizes[grid, default: []].insert(grid.clipsPerLane) }
      let last = start.step + start.stepsPerEpoch - 1
      sizes[grid(of: last), default: []].formUnion((0..<lanes).map { positions(step: last, lane: $0).count })
    }
    return sizes.mapValues { $0.subtracting([0]) }
  }
}
