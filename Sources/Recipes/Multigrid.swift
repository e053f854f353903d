// The plan of a run's steps: all alike, or the cycles of multigrid training.
import Shared

extension ScheduleRecipe {
  /// How the shape of the clips changes while the network is trained.
  public enum Multigrid: String, Hashable, Sendable, Codable, CaseIterable {
    /// Not at all.
    case none
    /// From stage to stage of a long cycle.
    case long
    /// In the long cycle, and within it from step to step.
    case both
  }
}

extension ModelRecipe {
  /// Of the clips that the model is made for.
  public var clipShape: ClipShape { ClipShape(frames: groups, size: inputSize) }

  /// The same network for clips of another shape: its tensors are the same.
  public func taking(_ shape: ClipShape) -> ModelRecipe {
    var model = self
    (model.groups, model.inputSize) = (shape.frames, shape.size)
    return model
  }
}

extension Recipe {
  /// The steps of a run.
  /// - Parameter clips: of the training index.
  public func steps(clips: Int) -> StepPlan {
    guard schedule.multigrid != .none else {
      return StepPlan(
        clips: clips, lanes: batch.lanes, clipsPerLane: batch.clipsPerLane, shape: model.clipShape)
    }
    return StepPlan(clips: clips, lanes: batch.lanes, stages: Multigrid(self).stages)
  }

  /// What is wrong with the shapes of multigrid training.
  var multigridMistakes: [String] {
    guard schedule.multigrid != .none else { return [] }
    let frames = [model.groups / 4, model.groups / 2]
    guard model.groups % 4 == 0, model.inputSize >= Multigrid.smallest else {
      return [
        "'schedule.multigrid' trains with a quarter of the frames and half of the pixels too: expected 'model.groups' of a "
          + "multiple of 4 and 'model.input_size' of at least \(Multigrid.smallest)"
      ]
    }
    let own = Set(model.contradictions)
    return frames.flatMap { frames in
      var found = model.taking(ClipShape(frames: frames, size: model.inputSize)).contradictions.filter {
        !own.contains($0)
      }
      if frames % data.framesPerGroup != 0 { found.append("'data.frames_per_group' must divide them") }
      return found.map { "'schedule.multigrid' trains with \(frames) frames too: \($0)" }
    }
  }
}

/// Multigrid training: early steps have more clips, of fewer frames and pixels, so that each does about the same work.
///
/// A long cycle has four shapes, with about 8, 4, 2 and 1 times the clips, and as many steps of each. With a short
/// cycle, every second and third of three steps has smaller pictures and still more clips. Where the schedule reduces
/// the learning rate at known epochs, each stretch but the last has a long cycle, and the last one the full shape;
/// otherwise the run is one long cycle. Its last stage always has the full shape alone, from which the batch norms have
/// the statistics that evaluation uses.
///
/// **Source:** Wu et al., "A Multigrid Method for Efficiently Training Video Models", CVPR 2020, section 3.
private struct Multigrid {
  /// The smallest side of a full clip.
  static let smallest = 32

  private let full: ClipShape
  private let clipsPerLane: Int
  private let isShort: Bool
  /// The epochs at which the learning rate is reduced, and the end, as the run began.
  private let stretches: [Int]

  init(_ recipe: Recipe) {
    full = recipe.model.clipShape
    clipsPerLane = recipe.batch.clipsPerLane
    isShort = recipe.schedule.multigrid == .both
    let schedule = recipe.schedule
    let epochs = recipe.epochRevisions.first?.old ?? schedule.epochs
    let reductions =
      switch schedule.kind {
      case .step: Array(stride(from: schedule.stepEpochs, to: epochs, by: schedule.stepEpochs))
      case .multiStep: schedule.milestones.filter { $0 < epochs }
      case .cosine, .cosineStep, .plateau: [Int]()
      }
    stretches = reductions + [epochs]
  }

  /// Pixels of a side, of a picture with 1/`part` of the pixels: a multiple of 8.
  private func size(_ part: Double) -> Int { max(16, Int((Double(full.size) / part.squareRoot() / 8).rounded()) * 8) }

  /// How many clips of a shape do the work of one full clip: a whole number.
  private func factor(_ shape: ClipShape) -> Int {
    let (whole, part) = (full.frames * full.size * full.size, shape.frames * shape.size * shape.size)
    return max(1, (2 * whole + part) / (2 * part))
  }

  private func grid(_ shape: ClipShape) -> StepPlan.Grid {
    StepPlan.Grid(shape, clipsPerLane: clipsPerLane * factor(shape))
  }

  /// The shapes of a long cycle.
  private var longCycle: [ClipShape] {
    [
      ClipShape(frames: full.frames / 4, size: size(2)), ClipShape(frames: full.frames / 2, size: size(2)),
      ClipShape(frames: full.frames / 2, size: full.size), full,
    ]
  }

  /// The grids of three steps in turn. The base is the first: a small data set may have no more steps in an epoch.
  private func shortCycle(_ base: ClipShape) -> [StepPlan.Grid] {
    ([base] + [size(2), size(4)].map { ClipShape(frames: base.frames, size: $0) }).map(grid)
  }

  var stages: [StepPlan.Stage] {
    var stages: [StepPlan.Stage] = []
    var first = 0
    for (number, end) in stretches.enumerated() where number == 0 || end != stretches.last {
      stages += cycle(epochs: end - first, isLast: stretches.count == 1)
      first = end
    }
    if stretches.count > 1 { stages.append(StepPlan.Stage(epochs: 0, cycle: [grid(full)])) }
    return stages
  }

  /// A long cycle: as many epochs of each shape as give it as many steps.
  /// - Parameter isLast: whether the run ends with it.
  private func cycle(epochs: Int, isLast: Bool) -> [StepPlan.Stage] {
    let shapes = longCycle
    let cycles = shapes.enumerated().map { number, shape in
      isShort && !(isLast && number == shapes.count - 1) ? shortCycle(shape) : [grid(shape)]
    }
    // Clips of a step, in units of 1 / (3 · clipsPerLane): the mean of a short cycle is a whole number of them.
    let weights = cycles.map { cycle in 3 / cycle.count * cycle.reduce(0) { $0 + $1.clipsPerLane / clipsPerLane } }
    let all = weights.reduce(0, +)
    var (sum, done) = (0, 0)
    return zip(shapes.indices, weights).compactMap { number, weight in
      sum += weight
      var end = (2 * epochs * sum + all) / (2 * all)
      // The last stage must not be rounded away.
      if isLast { end = number == shapes.count - 1 ? epochs : min(end, epochs - 1) }
      defer { done = max(done, end) }
      return end <= done
        ? nil : StepPlan.Stage(epochs: end - done, cycle: cycles[number], rateFactor: factor(shapes[number]))
    }
  }
}
