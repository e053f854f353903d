// The network as its users see it: what a recipe's model is made of, and its first values.
import Shared

/// A bLVNet or bLVNet-TAM of one recipe: structure, layout and engine. Constant, and shared by all lanes.
public final class Network: Sendable {
  public let recipe: ModelRecipe
  public let layout: StateLayout
  let structure: Structure
  let engine: any ConvolutionEngine

  /// - Throws: `BLVNetError(.badConfiguration)` naming the recipe's key, if the model cannot be built.
  public convenience init(_ model: ModelRecipe, engine: Recipe.Engine) throws {
    try self.init(model, engine: engine.make())
  }

  /// - Throws: as above.
  public convenience init(_ model: ModelRecipe, engine: any ConvolutionEngine) throws {
    try model.check()
    self.init(model, Structure(model), engine: engine)
  }

  init(_ model: ModelRecipe, _ structure: Structure, engine: any ConvolutionEngine) {
    recipe = model
    self.structure = structure
    layout = structure.layout
    self.engine = engine
  }

  /// The format of activations.
  public var precision: Recipe.Precision { engine.precision }
  /// Bytes of one of them.
  var elementBytes: Int { precision == .bf16 ? 2 : 4 }

  /// Elements of one clip: `groups` frames, [H, W, 3] each.
  public var inputCount: Int { structure.values[0].count }

  /// The published initial values: convolutions and taps normal with deviation √(2/(O·k·k)); batch norm 1 and 0, but
  /// every `bn3.weight` 0; the classifier normal with deviation 0.001, its bias 0. A tensor's numbers depend on the
  /// seed and its index in the layout.
  public func initialParameters(seed: UInt64) -> FloatStorage {
    let storage = FloatStorage(count: layout.parameterCount)
    for (index, tensor) in layout.parameters.enumerated() {
      let values = unsafe UnsafeMutableBufferPointer(
        rebasing: storage.buffer[tensor.range])
      if tensor.name == "new_fc.weight" {
        unsafe fillNormal(values, deviation: 0.001, seed: seed, tensor: index)
      } else if tensor.shape.count == 4 {
        let fanOut = Double(tensor.shape[0] * tensor.shape[2] * tensor.shape[3])
        unsafe fillNormal(values, deviation: (2 / fanOut).squareRoot(), seed: seed, tensor: index)
      } else if tensor.name.hasSuffix(".weight"), !tensor.name.hasSuffix("bn3.weight") {
        unsafe values.update(repeating: 1)
      }
    }
    return storage
  }

  /// Normal numbers by the polar method, from operations that round alike everywhere.
  /// **Source:** Marsaglia and Bray, "A Convenient Method for Generating Normal Variables", SIAM Review 6, 1964.
  private func fillNormal(_ values: UnsafeMutableBufferPointer<Float>, deviation: Double, seed: UInt64, tensor: Int) {
    var random = Philox(seed: seed, .initialValues, UInt32(tensor))
    var i = 0
    while i < values.count {
      let x = 2 * random.unit() - 1
      let y = 2 * random.unit() - 1
      let square = x * x + y * y
      guard square > 0, square < 1 else { continue }
      let radius = (-2 * PortableMath.log(square) / square).squareRoot()
      unsafe values[i] = Float(deviation * x * radius)
      if i + 1 < values.count { unsafe values[i + 1] = Float(deviation * y * radius) }
      i += 2
    }
  }

  /// Running means 0, running variances 1.
  public func initialStatistics() -> FloatStorage {
    let storage = FloatStorage(count: layout.statisticCount)
    for tensor in layout.statistics where tensor.name.hasSuffix("running_var") {
      for i in tensor.range { storage[i] = 1 }
    }
    return storage
  }
}
