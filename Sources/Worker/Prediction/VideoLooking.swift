// How one video becomes rows: its windows, the views of each, and what the network makes of them.
import BLVNet
import Recipes
import Shared
import Training
import Video

/// What the network makes of one window of a video, or of all of it.
struct ClipResult: Sendable {
  /// Seconds from the video's first frame; nil for a whole video.
  var from: Double?
  var to: Double?
  /// [classes]: the mean over the views.
  var logits: [Float]
  var probabilities: [Double]
  /// [C]: the mean over space, frames and views of what the classifier sees.
  var features: [Float]
  /// [T, S, S, 3]: what the network saw, of the first view.
  var input: FloatStorage
}

/// Looks at videos as evaluation does: the same frames, crops and arithmetic.
struct VideoLooking: Sendable {
  private let model: TrainedModel
  private let views: [ClipView]
  private let window: Double?
  private let every: Double?
  private let decoders = DecodingPool()
  private let loader: ClipLoader

  init(_ model: TrainedModel, clips: Int, crops: Int, window: Double?, every: Double?) {
    self.model = model
    self.window = window
    self.every = every
    views = (0..<clips).flatMap { clip in
      (0..<crops).map { ClipView(clip: clip, clips: clips, crop: $0, crops: crops) }
    }
    loader = ClipLoader(rules: model.recipe.videoRules, decoders: decoders)
  }

  /// A lane for `results`.
  /// - Parameter threads: that share it.
  func lane(threads: Int) -> Lane { Lane(model.network, maximumClips: 1, training: false, threads: threads) }

  /// The results of a video, in the order of time.
  /// - Throws: `VideoError` if it cannot be decoded.
  func results(of path: String, on lane: Lane) throws -> [ClipResult] {
    let probe = try decoders.probe(path, deep: false, rules: model.recipe.videoRules)
    return try windows(probe, path).map { part in
      let request = ClipRequest(
        path: path, first: part.frames.lowerBound, frames: part.frames.count, isProved: probe.isProved,
        head: probe.head, clip: 0, expectedBytes: 0, expectedHash: probe.hash)
      var result = try look(at: request, on: lane)
      (result.from, result.to) = (part.from, part.to)
      return result
    }
  }

  private struct Part {
    var frames: Range<Int>
    var from: Double?
    var to: Double?
  }

  /// Every window that has a frame. The last one ends with the video.
  private func windows(_ probe: ProbedClip, _ path: String) throws -> [Part] {
    guard let window, let every else { return [Part(frames: 0..<probe.frames)] }
    guard let end = probe.end, end > 0 else {
      throw VideoError(path: path, operation: "cut into windows", cause: "it has no times, and does not say its length")
    }
    var parts: [Part] = []
    var number = 0
    while case let from = Double(number) * every, number == 0 || from < end {
      number += 1
      // What a window before it has shown to its end is not shown again.
      if from > 0, from - every + window >= end { break }
      let to = min(from + window, end)
      let frames = probe.frames(from: from, to: to)
      if !frames.isEmpty { parts.append(Part(frames: frames, from: from, to: to)) }
    }
    return parts.isEmpty ? [Part(frames: 0..<probe.frames, from: 0, to: end)] : parts
  }

  private func look(at request: ClipRequest, on lane: Lane) throws -> ClipResult {
    var logits = [Float](repeating: 0, count: model.network.classes)
    var features: [Float] = []
    var first: FloatStorage?
    for view in views {
      let form = self.form(view)
      let input = loader.storage(count: form.clipElements)
      try loader.load(request, form, epoch: 0, into: input, tries: 2)
      let result = lane.evaluate(
        parameters: model.parameters, statistics: model.statistics, input: input, clips: 1)
      let seen = lane.pooledFeatures
      if features.isEmpty { features = [Float](repeating: 0, count: seen.count) }
      for i in logits.indices { logits[i] += result[i] }
      for i in features.indices { features[i] += seen[i] }
      first = first ?? input
    }
    let count = Float(views.count)
    return ClipResult(
      logits: logits.map { $0 / count }, probabilities: model.probabilities(logits, views: views.count),
      features: features.map { $0 / count }, input: first ?? FloatStorage(count: 0))
  }

  /// As `RunContext.form` of an evaluation.
  private func form(_ view: ClipView) -> ClipForm {
    let (recipe, data) = (model.recipe.model, model.recipe.data)
    return ClipForm(
      frames: recipe.groups, size: recipe.inputSize,
      sampling: data.sampling == .dense ? .dense(stride: data.denseStride) : .uniform, training: false, seed: 0,
      scaleUp: data.evaluationScaleUp, view: view)
  }
}
