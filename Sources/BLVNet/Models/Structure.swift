// A network as a list of layers over numbered values, and the builder with which a definition (`Models`) makes it.
import Recipes
import Shared

/// A block of activations: `frames` images per clip, NHWC.
struct Value: Sendable, Hashable {
  let frames: Int
  let height: Int
  let width: Int
  let channels: Int

  /// Elements for one clip.
  var count: Int { frames * height * width * channels }
}

/// Layers in the order of the forward pass, each reading values that earlier ones wrote. Value 0 is the input.
struct Structure: Sendable {
  let values: [Value]
  let layers: [any Layer]
  let head: ClassHead
  let layout: StateLayout
  /// By value: whether the backward pass computes its gradient, because something trained is below it.
  let needsGradient: [Bool]

  /// - Parameter freezing: what not to train.
  init(freezing: Freezing = Freezing(), building: (inout StructureBuilder) -> Void) {
    // Build twice: the first pass collects the names, whose sorted order gives every tensor its place.
    var names = StructureBuilder(StateLayout(parameters: [:], statistics: [:]))
    building(&names)
    var builder = StructureBuilder(
      StateLayout(parameters: names.parameters, statistics: names.statistics, frozen: names.frozen(freezing)))
    building(&builder)
    guard let head = builder.head else { preconditionFailure("the network's definition adds no classifier") }
    self.head = head
    (values, layers, layout) = (builder.values, builder.layers, builder.layout)
    needsGradient = builder.needsGradient
  }

  /// The forward pass for evaluation. A layer whose result only a batch norm reads may be fused with the norm.
  var evaluationLayers: [any ForwardLayer] { fusing { _ in true } }

  /// The layers for training: `layers`, with what is below everything trained in the form for evaluation.
  var trainingLayers: [any Layer] {
    fusing { norm in !needsGradient[norm.dst] }.map { ($0 as? any Layer) ?? FrozenLayer(layer: $0) }
  }

  /// - Parameter wanted: whether a norm may be fused.
  private func fusing(_ wanted: (BatchNorm) -> Bool) -> [any ForwardLayer] {
    let reads = layers.flatMap(\.sources)
    var producers: [Int: any Layer] = [:]
    for layer in layers {
      for result in layer.results where reads.count(where: { $0 == result }) == 1 { producers[result] = layer }
    }
    var fused: [Int: any ForwardLayer] = [:]
    var absorbed: Set<Int> = []
    for (i, layer) in layers.enumerated() {
      guard let norm = layer.epilogue, wanted(norm), let both = producers[norm.src]?.fused(with: norm) else { continue }
      fused[i] = both
      absorbed.insert(norm.src)
    }
    return layers.enumerated().compactMap { i, layer in
      fused[i] ?? (layer.results.contains(where: absorbed.contains) ? nil : layer)
    }
  }
}

/// A tensor as a definition declares it.
struct TensorDeclaration: Sendable, Hashable {
  let shape: [Int]
  let initial: InitialValue
}

/// What a recipe does not train.
struct Freezing: Sendable {
  var names = NamePatterns()
  /// Whether all batch norms but the first are frozen.
  ///
  /// **Source:** Wang et al., "Temporal Segment Networks", ECCV 2016, section 3.2 (partial BN).
  var normsButFirst = false

  init() {}

  init(_ recipe: ModelRecipe) { (names, normsButFirst) = (recipe.freeze, recipe.partialNorm) }
}

/// `StructureBuilder+Layers.swift` has a function for each kind of layer.
struct StructureBuilder {
  fileprivate let layout: StateLayout
  fileprivate private(set) var values: [Value] = []
  fileprivate private(set) var layers: [any Layer] = []
  fileprivate private(set) var head: ClassHead?
  fileprivate private(set) var parameters: [String: TensorDeclaration] = [:]
  fileprivate private(set) var statistics: [String: TensorDeclaration] = [:]
  /// The names of the tensors and of the statistics of each batch norm.
  private var norms: [(tensors: [String], statistics: [String])] = []
  /// By value, as `Structure` has it.
  fileprivate private(set) var needsGradient: [Bool] = []
  /// Whether a tensor is trained that no layer has taken yet.
  private var isTrained = false
  private let parameterPlaces: [String: TensorReference]
  private let statisticPlaces: [String: TensorReference]

  fileprivate init(_ layout: StateLayout) {
    func places(_ specs: [TensorSpec]) -> [String: TensorReference] {
      Dictionary(
        uniqueKeysWithValues: specs.enumerated().map { index, spec in
          (
            spec.name,
            TensorReference(index: index, offset: spec.offset, count: spec.count, isFrozen: spec.isFrozen)
          )
        })
    }
    self.layout = layout
    parameterPlaces = places(layout.parameters)
    statisticPlaces = places(layout.statistics)
  }

  func shape(of value: Int) -> Value { values[value] }

  mutating func value(frames: Int, height: Int, width: Int, channels: Int) -> Int {
    values.append(Value(frames: frames, height: height, width: width, channels: channels))
    needsGradient.append(false)
    return values.count - 1
  }

  /// Adds a layer of any kind. Its values and tensors must have been declared before.
  mutating func add(_ layer: some Layer) {
    layers.append(layer)
    let needs = isTrained || layer.sources.contains { needsGradient[$0] }
    for result in layer.results { needsGradient[result] = needs }
    isTrained = false
  }

  /// What is frozen among the tensors and statistics that were declared.
  fileprivate func frozen(_ freezing: Freezing) -> Set<String> {
    var frozen = Set(parameters.keys.filter { freezing.names.contains($0) })
    if freezing.normsButFirst { frozen.formUnion(norms.dropFirst().flatMap(\.tensors)) }
    for norm in norms where frozen.isSuperset(of: norm.tensors) { frozen.formUnion(norm.statistics) }
    return frozen
  }

  /// Declares a learnt tensor.
  mutating func parameter(_ name: String, _ shape: [Int], _ initial: InitialValue) -> TensorReference {
    parameters[name] = TensorDeclaration(shape: shape, initial: initial)
    let place = parameterPlaces[name] ?? TensorReference(index: 0, offset: 0, count: shape.reduce(1, *))
    isTrained = isTrained || !place.isFrozen
    return place
  }

  /// Declares a running statistic.
  mutating func statistic(_ name: String, _ channels: Int, _ initial: InitialValue) -> TensorReference {
    statistics[name] = TensorDeclaration(shape: [channels], initial: initial)
    return statisticPlaces[name] ?? TensorReference(index: 0, offset: 0, count: channels)
  }

  /// Says which tensors are a batch norm's, since they may be frozen together.
  mutating func declareNorm(_ name: String) {
    norms.append((["\(name).weight", "\(name).bias"], ["\(name).running_mean", "\(name).running_var"]))
  }

  /// The class head on `features`: the mean over space and frames, dropout, a linear classifier.
  /// - Parameters:
  ///   - deviation: the standard deviation of the initial weights, the bias being 0; nil for weights and bias uniform
  ///     in ±1/√channels, as PyTorch initialises linear layers.
  ///   - alternative: another name under which state dicts may hold the classifier.
  mutating func classifier(
    _ name: String, _ features: Int, classes: Int, dropout: Double, deviation: Double?, alternative: String? = nil
  ) {
    let shape = shape(of: features)
    let uniform = InitialValue.uniform(bound: 1 / Double(shape.channels).squareRoot())
    head = ClassHead(
      name: name, alternative: alternative, features: features, shape: shape, classes: classes, dropout: dropout,
      weight: parameter(
        "\(name).weight", [classes, shape.channels], deviation.map { .normal(deviation: $0) } ?? uniform),
      bias: parameter("\(name).bias", [classes], deviation == nil ? uniform : .constant(0)))
  }
}
