// bLVNet-TAM and its next of kin, with the layers in the order of the forward pass.
import Recipes
import Shared

/// bLVNet-TAM, bLVNet without temporal modules (without every TAM and its ReLU), or bLVNet with a temporal shift in the
/// place of each. The names are those of the reference implementation, which has no shift. In layer 4 the shift is in
/// the residual branch alone, as in TSM on ResNet.
///
/// **Source:** Fan, Chen et al., "More Is Less: Learning Efficient Video Representations by Big-Little Network and
/// Depthwise Temporal Aggregation", NeurIPS 2019, section 3.
struct BigLittleNetwork: ModelDefinition {
  let temporal: TemporalMixing

  func build(_ recipe: ModelRecipe, _ builder: inout StructureBuilder) {
    var assembly = Assembly(recipe: recipe, temporal: temporal, builder: builder)
    assembly.build()
    builder = assembly.builder
  }
}

/// One pass over the network's parts.
private struct Assembly {
  let recipe: ModelRecipe
  let temporal: TemporalMixing
  var builder: StructureBuilder

  /// Blocks of layers 1 to 4.
  private var blocks: [Int] {
    switch recipe.depth {
    case 101: [4, 8, 18, 3]
    case 152: [5, 12, 30, 3]
    default: [3, 4, 6, 3]
    }
  }

  private var tapNames: [String] {
    recipe.blendingFrames == 3
      ? ["prev", "curr", "next"] : (0..<recipe.blendingFrames).map { "blending_layers.\($0)" }
  }

  mutating func build() {
    let width = recipe.width
    let prefix = "baseline_model"
    let input = builder.input(recipe)
    var x = builder.convolution("\(prefix).conv1", input, width, kernel: 7, stride: 2)
    x = builder.norm("\(prefix).bn1", x, relu: true)
    x = layer0(prefix, x)
    for layer in 1...3 {
      x = bigLittle(
        "\(prefix).layer\(layer)", x, planes: 2 * width << layer, blocks: blocks[layer - 1],
        stride: layer == 3 ? 1 : 2)
    }
    for block in 0..<blocks[3] {
      let name = "\(prefix).layer4.\(block)"
      let (stride, frames) = (block == 0 ? 2 : 1, recipe.groups / 2)
      switch temporal {
      case .none: x = bottleneck(name, x, planes: 32 * width, stride: stride)
      case .module:
        let seen = builder.temporal("\(name).tam", x, frames: frames, taps: tapNames, split: false).big
        x = bottleneck(name, seen, identity: x, planes: 32 * width, stride: stride)
      case .shift:
        let shifted = builder.shift("\(name).shift", x, frames: frames, parts: recipe.shiftDiv, split: false).big
        x = bottleneck(name, x, branch: shifted, planes: 32 * width, stride: stride)
      }
    }
    // The published models' state dicts call it baseline_model.fc.
    builder.classifier(
      "new_fc", x, classes: recipe.classes, dropout: recipe.dropout, deviation: 0.001,
      alternative: "\(prefix).fc")
  }

  /// The frames for the big branch (odd) and for the little one (even). From layer 1 on, each frame of `src` counts for
  /// both frames of its pair.
  private mutating func frames(_ name: String, _ src: Int) -> (big: Int, little: Int) {
    switch temporal {
    case .none: builder.shape(of: src).frames == recipe.groups ? builder.split("\(name).split", src) : (src, src)
    case .module: builder.temporal("\(name).tam", src, frames: recipe.groups, taps: tapNames, split: true)
    case .shift: builder.shift("\(name).shift", src, frames: recipe.groups, parts: recipe.shiftDiv, split: true)
    }
  }

  private mutating func layer0(_ prefix: String, _ src: Int) -> Int {
    let width = recipe.width
    let narrow = width / recipe.alpha
    let (big, little) = frames(prefix, src)
    var b = builder.convolution("\(prefix).b_conv0", big, width, kernel: 3, stride: 2)
    b = builder.norm("\(prefix).bn_b0", b, relu: false)
    var l = builder.convolution("\(prefix).l_conv0", little, narrow, kernel: 3)
    l = builder.norm("\(prefix).bn_l0", l, relu: true)
    l = builder.convolution("\(prefix).l_conv1", l, narrow, kernel: 3, stride: 2)
    l = builder.norm("\(prefix).bn_l1", l, relu: true)
    l = builder.convolution("\(prefix).l_conv2", l, width)
    let sum = builder.norm("\(prefix).bn_l2", l, relu: true, residual: b)
    return builder.norm("\(prefix).bn_bl_init", builder.convolution("\(prefix).bl_init", sum, width), relu: true)
  }

  private mutating func bigLittle(_ name: String, _ src: Int, planes: Int, blocks: Int, stride: Int) -> Int {
    let (bigFrames, littleFrames) = frames(name, src)
    var big = bigFrames
    for block in 0..<blocks - 1 {
      let last = block == blocks - 2 && blocks > 2
      big = bottleneck("\(name).big.\(block)", big, planes: planes, stride: block == 0 ? 2 : 1, relu: !last)
    }
    var little = littleFrames
    for block in 0..<max(1, blocks / recipe.beta - 1) {
      little = bottleneck("\(name).little.\(block)", little, planes: planes / recipe.alpha, stride: 1)
    }
    little = builder.convolution("\(name).little_e.0", little, planes)
    let sum = builder.norm("\(name).little_e.1", little, relu: true, residual: big)
    return bottleneck("\(name).fusion.0", sum, planes: planes, stride: stride)
  }

  /// - Parameters:
  ///   - branch: what the first convolution reads; `src` by default.
  ///   - identity: the residual if the block does not downsample; `src` by default.
  private mutating func bottleneck(
    _ name: String, _ src: Int, branch: Int? = nil, identity: Int? = nil, planes: Int, stride: Int, relu: Bool = true
  ) -> Int {
    let middle = planes / 4
    var x = builder.norm("\(name).bn1", builder.convolution("\(name).conv1", branch ?? src, middle), relu: true)
    x = builder.norm(
      "\(name).bn2", builder.convolution("\(name).conv2", x, middle, kernel: 3, stride: stride), relu: true)
    x = builder.convolution("\(name).conv3", x, planes)

    var residual = identity ?? src
    if stride != 1 || builder.shape(of: src).channels != planes {
      residual = src
      var part = 0
      if stride != 1 {
        residual = builder.averagePool("\(name).downsample.0", src)
        part += 1
      }
      if builder.shape(of: src).channels != planes {
        residual = builder.convolution("\(name).downsample.\(part)", residual, planes)
        residual = builder.norm("\(name).downsample.\(part + 1)", residual, relu: false)
      }
    }
    // Zero, so that every block starts as the identity.
    return builder.norm("\(name).bn3", x, relu: relu, residual: residual, initialWeight: 0)
  }
}
