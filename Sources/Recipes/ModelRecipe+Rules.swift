// What a model may be: which keys mean something for which network, and which combinations are impossible.

extension ModelRecipe {
  /// What is wrong with this model, by the rules for recipes in files; each mistake names its key.
  public var mistakes: [String] {
    var recipe = Recipe()
    recipe.model = self
    let single = Recipe.fields().filter { $0.path.hasPrefix("model.") }.compactMap { field in
      field.check(recipe).map { "\(field.path) is \(field.write(recipe)), expected \($0)" }
    }
    return single.isEmpty ? contradictions : single
  }

  private static let bigLittle: [Architecture] = [.blvnetTAM, .blvnet, .blvnetTSM]
  private static let resNets: [Architecture] = [.tsn, .tsm, .tam, .i3d]

  /// The keys that only some networks have: those networks, and whether this model has the default. `blvnet` always
  /// took the keys of its relative.
  private var owned: [(key: String, networks: [Architecture], isDefault: Bool)] {
    let standard = ModelRecipe()
    return [
      ("alpha", Self.bigLittle, alpha == standard.alpha),
      ("beta", Self.bigLittle, beta == standard.beta),
      ("blending_frames", [.blvnetTAM, .blvnet, .tam], blendingFrames == standard.blendingFrames),
      ("shift_div", [.blvnetTSM, .tsm], shiftDiv == standard.shiftDiv),
      ("temporal_stride", Self.resNets, temporalStride == standard.temporalStride),
      ("temporal_pooling", [.tsn, .tsm, .tam], temporalPooling == standard.temporalPooling),
    ]
  }

  /// The same settings for another network, as far as they mean something for it.
  public func relative(_ other: Architecture) -> ModelRecipe {
    var model = self
    model.architecture = other
    let standard = ModelRecipe()
    for key in model.owned where !key.networks.contains(other) {
      switch key.key {
      case "alpha": model.alpha = standard.alpha
      case "beta": model.beta = standard.beta
      case "blending_frames": model.blendingFrames = standard.blendingFrames
      case "shift_div": model.shiftDiv = standard.shiftDiv
      case "temporal_stride": model.temporalStride = standard.temporalStride
      default: model.temporalPooling = standard.temporalPooling
      }
    }
    return model
  }

  /// Keys that contradict one another, all of them.
  var contradictions: [String] {
    // Networks that tests register have rules of their own.
    guard Architecture.allCases.contains(architecture) else { return [] }
    var found = owned.filter { !$0.networks.contains(architecture) && !$0.isDefault }.map {
      "model.\($0.key) means nothing for \(architecture.rawValue), only for "
        + $0.networks.map(\.rawValue).joined(separator: ", ") + "; leave it out"
    }
    if Self.bigLittle.contains(architecture) {
      if width % alpha != 0 { found.append("model.width must be a multiple of model.alpha") }
      if groups % 2 != 0 {
        found.append("model.groups is \(groups), expected an even number of frames for \(architecture.rawValue)")
      }
    }
    return found + shiftMistakes + strideMistakes
  }

  private var shiftMistakes: [String] {
    // The widest block takes 32 · width channels, in every network that shifts.
    guard [.blvnetTSM, .tsm].contains(architecture), 32 * width / shiftDiv == 0 else { return [] }
    return [
      "model.shift_div is \(shiftDiv), so that no channel shifts in any block (the widest has \(32 * width) channels); "
        + "expected at most that many"
    ]
  }

  private var strideMistakes: [String] {
    guard [.tsn, .tsm, .tam].contains(architecture) else { return [] }
    guard temporalStride else {
      return temporalPooling == .max
        ? [] : ["model.temporal_pooling means nothing without 'model.temporal_stride: true'; leave it out"]
    }
    var found: [String] = []
    if groups % 8 != 0 {
      found.append("model.groups is \(groups), expected a multiple of 8 frames with 'model.temporal_stride: true'")
    }
    if temporalPooling == .avg, groups < 16 {
      found.append("model.groups is \(groups), expected at least 16 frames with 'model.temporal_pooling: avg'")
    }
    return found
  }
}
