// The network as a list of layers over numbered values, and the builder's vocabulary; the network itself is in
// Structure+BLVNet.swift.
import Shared

/// A block of activations: `frames` images a clip, NHWC.
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
  fileprivate(set) var values: [Value] = []
  fileprivate(set) var layers: [any Layer] = []
  /// What the head averages.
  fileprivate(set) var features = 0
  fileprivate(set) var classifierWeight = TensorReference(index: 0, offset: 0, count: 0)
  fileprivate(set) var classifierBias = TensorReference(index: 0, offset: 0, count: 0)
  let layout: StateLayout

  init(_ recipe: ModelRecipe) { self.init(recipe) { $0.build() } }

  init(_ recipe: ModelRecipe, building: (inout StructureBuilder) -> Void) {
    // Built twice: the first time to learn the names, whose order gives every tensor its place.
    var names = StructureBuilder(recipe, StateLayout(parameters: [:], statistics: [:]))
    building(&names)
    var builder = StructureBuilder(recipe, StateLayout(parameters: names.parameters, statistics: names.statistics))
    building(&builder)
    self = builder.structure
  }

  fileprivate init(layout: StateLayout) { self.layout = layout }

  /// The forward pass in evaluation form: a convolution whose results only a batch norm reads is one with it, in the
  /// norm's place. A norm that enlarges its residual stays what it is, as it is best where that is read.
  var evaluationLayers: [any ForwardLayer] {
    let reads = layers.flatMap(\.sources)
    var finishing: [Int: Convolution] = [:]
    for case let layer as Convolution in layers where reads.count(where: { $0 == layer.dst }) == 1 {
      finishing[layer.dst] = layer
    }
    func joins(_ layer: any Layer) -> BatchNorm? { (layer as? BatchNorm).flatMap { $0.enlarges ? nil : $0 } }
    let joined = Set(layers.compactMap { joins($0).flatMap { finishing[$0.src]?.dst } })
    return layers.compactMap { layer in
      if let norm = joins(layer), let convolution = finishing[norm.src] {
        return FinishedConvolution(convolution: convolution, norm: norm)
      }
      return layer.results.contains(where: joined.contains) ? nil : layer
    }
  }
}

struct StructureBuilder {
  let recipe: ModelRecipe
  fileprivate(set) var structure: Structure
  fileprivate(set) var parameters: [String: [Int]] = [:]
  fileprivate(set) var statistics: [String: [Int]] = [:]
  private let parameterPlaces: [String: TensorReference]
  private let statisticPlaces: [String: TensorReference]

  fileprivate init(_ recipe: ModelRecipe, _ layout: StateLayout) {
    func places(_ specs: [TensorSpec]) -> [String: TensorReference] {
      Dictionary(
        uniqueKeysWithValues: specs.enumerated().map { index, spec in
          (spec.name, TensorReference(index: index, offset: spec.offset, count: spec.count))
        })
    }
    self.recipe = recipe
    structure = Structure(layout: layout)
    parameterPlaces = places(layout.parameters)
    statisticPlaces = places(layout.statistics)
  }

  func shape(of value: Int) -> Value { structure.values[value] }

  mutating func value(frames: Int, height: Int, width: Int, channels: Int) -> Int {
    structure.values.append(Value(frames: frames, height: height, width: width, channels: channels))
    return structure.values.count - 1
  }

  private mutating func parameter(_ name: String, _ shape: [Int]) -> TensorReference {
    parameters[name] = shape
    return parameterPlaces[name] ?? TensorReference(index: 0, offset: 0, count: shape.reduce(1, *))
  }

  private mutating func statistic(_ name: String, _ channels: Int) -> TensorReference {
    statistics[name] = [channels]
    return statisticPlaces[name] ?? TensorReference(index: 0, offset: 0, count: channels)
  }

  mutating func convolution(
    _ name: String, _ src: Int, _ channels: Int, kernel: Int = 1, stride: Int = 1
  ) -> Int {
    let from = shape(of: src)
    let shape = ConvolutionShape(
      inputChannels: from.channels, outputChannels: channels, kernel: kernel, stride: stride, padding: kernel / 2,
      height: from.height, width: from.width)
    let dst = value(
      frames: from.frames, height: shape.outputHeight, width: shape.outputWidth, channels: channels)
    let weight = parameter("\(name).weight", [channels, from.channels, kernel, kernel])
    structure.layers.append(
      Convolution(name: name, shape: shape, frames: from.frames, weight: weight, src: src, dst: dst))
    return dst
  }

  /// Batch norm, plus `residual` (enlarged to this size if it is smaller), then ReLU if wanted.
  mutating func norm(_ name: String, _ src: Int, relu: Bool, residual: Int? = nil) -> Int {
    let from = shape(of: src)
    let dst = value(frames: from.frames, height: from.height, width: from.width, channels: from.channels)
    structure.layers.append(
      BatchNorm(
        name: name, shape: from, residualShape: residual.map { shape(of: $0) }, relu: relu,
        weight: parameter("\(name).weight", [from.channels]), bias: parameter("\(name).bias", [from.channels]),
        mean: statistic("\(name).running_mean", from.channels),
        variance: statistic("\(name).running_var", from.channels), src: src, residual: residual, dst: dst))
    return dst
  }

  mutating func averagePool(_ name: String, _ src: Int) -> Int {
    let from = shape(of: src)
    let pool = ConvolutionShape(
      inputChannels: from.channels, outputChannels: from.channels, kernel: 3, stride: 2, padding: 1,
      height: from.height, width: from.width)
    let dst = value(
      frames: from.frames, height: pool.outputHeight, width: pool.outputWidth, channels: from.channels)
    structure.layers.append(AveragePool(name: name, shape: pool, frames: from.frames, src: src, dst: dst))
    return dst
  }

  /// A temporal module on `src`, each of whose frames stands for `frames / src.frames` frames.
  /// - Returns: the odd and the even results where `split`, else all of them twice.
  mutating func temporal(_ name: String, _ src: Int, frames: Int, split: Bool) -> (big: Int, little: Int) {
    let from = shape(of: src)
    let taps = (0..<recipe.blendingFrames).map { tap in
      let tapName = recipe.blendingFrames == 3 ? ["prev", "curr", "next"][tap] : "blending_layers.\(tap)"
      return parameter("\(name).\(tapName).weight", [from.channels, 1, 1, 1])
    }
    func result() -> Int {
      value(frames: split ? frames / 2 : frames, height: from.height, width: from.width, channels: from.channels)
    }
    let big = result()
    let little = split ? result() : big
    structure.layers.append(
      TemporalModule(
        name: name, source: from, frames: frames, taps: taps, src: src, big: big, little: split ? little : nil))
    return (big, little)
  }

  /// The odd and the even frames of `src`.
  mutating func split(_ name: String, _ src: Int) -> (big: Int, little: Int) {
    let from = shape(of: src)
    func half() -> Int {
      value(frames: from.frames / 2, height: from.height, width: from.width, channels: from.channels)
    }
    let (big, little) = (half(), half())
    structure.layers.append(FrameSplit(name: name, source: from, src: src, big: big, little: little))
    return (big, little)
  }

  mutating func classifier(_ features: Int) {
    let channels = shape(of: features).channels
    structure.features = features
    structure.classifierWeight = parameter("new_fc.weight", [recipe.classes, channels])
    structure.classifierBias = parameter("new_fc.bias", [recipe.classes])
  }
}
