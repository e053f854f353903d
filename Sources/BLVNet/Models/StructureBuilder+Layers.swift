// A function for each kind of layer: it declares the layer's tensors and results, and adds it.
import Recipes

extension StructureBuilder {
  /// The clip: its frames as images of three colours. Add it first.
  mutating func input(_ recipe: ModelRecipe) -> Int {
    value(frames: recipe.groups, height: recipe.inputSize, width: recipe.inputSize, channels: 3)
  }

  /// - Parameter weightShape: the weights' shape in state dicts, if it has more dimensions than
  ///   [channels, from.channels, kernel, kernel].
  mutating func convolution(
    _ name: String, _ src: Int, _ channels: Int, kernel: Int = 1, stride: Int = 1, weightShape: [Int]? = nil
  ) -> Int {
    let from = shape(of: src)
    let shape = ConvolutionShape(
      inputChannels: from.channels, outputChannels: channels, kernel: kernel, stride: stride, padding: kernel / 2,
      height: from.height, width: from.width)
    let dst = value(
      frames: from.frames, height: shape.outputHeight, width: shape.outputWidth, channels: channels)
    let dimensions = weightShape ?? [channels, from.channels, kernel, kernel]
    let weight = parameter(
      "\(name).weight", dimensions, .normal(fanOut: channels * dimensions.dropFirst(2).reduce(1, *)))
    add(Convolution(name: name, shape: shape, frames: from.frames, weight: weight, src: src, dst: dst))
    return dst
  }

  /// A convolution over space and time: kernel × kernel pixels of three frames. **Shapes:** weights
  /// [channels, from.channels, 3, kernel, kernel].
  /// - Parameter timeStride: frames between two results.
  mutating func temporalConvolution(
    _ name: String, _ src: Int, _ channels: Int, kernel: Int, stride: Int = 1, timeStride: Int = 1
  ) -> Int {
    let from = shape(of: src)
    let stacked = value(
      frames: (from.frames - 1) / timeStride + 1, height: from.height, width: from.width, channels: 3 * from.channels)
    add(
      FrameStack(
        name: "\(name).frames", source: from, result: shape(of: stacked), stride: timeStride, src: src, dst: stacked))
    return convolution(
      name, stacked, channels, kernel: kernel, stride: stride,
      weightShape: [channels, from.channels, 3, kernel, kernel])
  }

  /// A 1x1 convolution of every stride-th pixel and every timeStride-th frame.
  mutating func stridedPointwise(
    _ name: String, _ src: Int, _ channels: Int, stride: Int, timeStride: Int = 1, weightShape: [Int]? = nil
  ) -> Int {
    let from = shape(of: src)
    var read = src
    if stride > 1 || timeStride > 1 {
      read = value(
        frames: (from.frames - 1) / timeStride + 1, height: (from.height - 1) / stride + 1,
        width: (from.width - 1) / stride + 1, channels: from.channels)
      add(
        Subsample(
          name: "\(name).pixels", source: from, result: shape(of: read), stride: stride, timeStride: timeStride,
          src: src, dst: read))
    }
    return convolution(name, read, channels, weightShape: weightShape)
  }

  /// Batch norm, plus `residual` (upsampled to this size if it is smaller), then ReLU if wanted.
  mutating func norm(
    _ name: String, _ src: Int, relu: Bool, residual: Int? = nil, initialWeight: Float = 1
  ) -> Int {
    let from = shape(of: src)
    let dst = value(frames: from.frames, height: from.height, width: from.width, channels: from.channels)
    declareNorm(name)
    add(
      BatchNorm(
        name: name, shape: from, residualShape: residual.map { shape(of: $0) }, relu: relu,
        weight: parameter("\(name).weight", [from.channels], .constant(initialWeight)),
        bias: parameter("\(name).bias", [from.channels], .constant(0)),
        mean: statistic("\(name).running_mean", from.channels, .constant(0)),
        variance: statistic("\(name).running_var", from.channels, .constant(1)), src: src, residual: residual,
        dst: dst))
    return dst
  }

  mutating func averagePool(_ name: String, _ src: Int) -> Int {
    let (pool, dst) = halved(src)
    add(AveragePool(name: name, shape: pool, frames: shape(of: src).frames, src: src, dst: dst))
    return dst
  }

  mutating func maxPool(_ name: String, _ src: Int) -> Int {
    let (pool, dst) = halved(src)
    add(MaxPool(name: name, shape: pool, frames: shape(of: src).frames, src: src, dst: dst))
    return dst
  }

  /// The shape of a pool of 3x3 windows at stride 2 on `src`, and a value for its result.
  private mutating func halved(_ src: Int) -> (pool: ConvolutionShape, dst: Int) {
    let from = shape(of: src)
    let pool = ConvolutionShape(
      inputChannels: from.channels, outputChannels: from.channels, kernel: 3, stride: 2, padding: 1,
      height: from.height, width: from.width)
    return (
      pool,
      value(frames: from.frames, height: pool.outputHeight, width: pool.outputWidth, channels: from.channels)
    )
  }

  /// Pools three frames at stride 2.
  mutating func temporalPool(_ name: String, _ src: Int, _ pooling: ModelRecipe.TemporalPooling) -> Int {
    let from = shape(of: src)
    let dst = value(
      frames: (from.frames - 1) / 2 + 1, height: from.height, width: from.width, channels: from.channels)
    add(TemporalPool(name: name, source: from, pooling: pooling, src: src, dst: dst))
    return dst
  }

  /// A temporal module on `src`, each frame of which counts for `frames / src.frames` frames.
  /// - Parameter taps: the names of the taps, from past to future.
  /// - Returns: the odd and the even results if `split`, else all of them, twice.
  mutating func temporal(
    _ name: String, _ src: Int, frames: Int, taps: [String], split: Bool
  ) -> (big: Int, little: Int) {
    let from = shape(of: src)
    let weights = taps.map {
      parameter("\(name).\($0).weight", [from.channels, 1, 1, 1], .normal(fanOut: from.channels))
    }
    func result() -> Int {
      value(frames: split ? frames / 2 : frames, height: from.height, width: from.width, channels: from.channels)
    }
    let big = result()
    let little = split ? result() : big
    add(
      TemporalModule(
        name: name, source: from, frames: frames, taps: weights, src: src, big: big, little: split ? little : nil))
    return (big, little)
  }

  /// A temporal shift of 1/`parts` of the channels each way, on `src`, each frame of which counts for
  /// `frames / src.frames` frames.
  /// - Returns: the odd and the even results if `split`, else all of them, twice.
  mutating func shift(
    _ name: String, _ src: Int, frames: Int, parts: Int, split: Bool
  ) -> (big: Int, little: Int) {
    let from = shape(of: src)
    func result() -> Int {
      value(frames: split ? frames / 2 : frames, height: from.height, width: from.width, channels: from.channels)
    }
    let big = result()
    let little = split ? result() : big
    add(
      TemporalShift(
        name: name, source: from, frames: frames, fold: from.channels / parts, src: src, big: big,
        little: split ? little : nil))
    return (big, little)
  }

  /// The odd and the even frames of `src`.
  mutating func split(_ name: String, _ src: Int) -> (big: Int, little: Int) {
    let from = shape(of: src)
    func half() -> Int {
      value(frames: from.frames / 2, height: from.height, width: from.width, channels: from.channels)
    }
    let (big, little) = (half(), half())
    add(FrameSplit(name: name, source: from, src: src, big: big, little: little))
    return (big, little)
  }
}
