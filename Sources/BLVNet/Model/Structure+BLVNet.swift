// bLVNet-TAM, written once: the order of the layers here is that of the forward pass.
import Shared

extension StructureBuilder {
  /// **Source:** Fan, Chen et al., "More Is Less: Learning Efficient Video Representations by Big-Little Network and
  /// Depthwise Temporal Aggregation", NeurIPS 2019, section 3.
  mutating func build() {
    let width = recipe.width
    let prefix = "baseline_model"
    let input = value(
      frames: recipe.groups, height: recipe.inputSize, width: recipe.inputSize, channels: 3)
    var x = convolution("\(prefix).conv1", input, width, kernel: 7, stride: 2)
    x = norm("\(prefix).bn1", x, relu: true)
    x = layer0(prefix, x)
    for layer in 1...3 {
      x = bigLittle(
        "\(prefix).layer\(layer)", x, planes: 2 * width << layer, blocks: recipe.blocks[layer - 1],
        stride: layer == 3 ? 1 : 2)
    }
    for block in 0..<recipe.blocks[3] {
      let name = "\(prefix).layer4.\(block)"
      var seen = x
      if recipe.architecture == .blvnetTAM {
        seen = temporal("\(name).tam", x, frames: recipe.groups / 2, split: false).big
      }
      x = bottleneck(name, seen, identity: x, planes: 32 * width, stride: block == 0 ? 2 : 1)
    }
    classifier(x)
  }

  /// The frames for the big branch (odd) and the little one (even). From layer 1 on each frame of `src` stands for
  /// both of its pair.
  private mutating func frames(_ name: String, _ src: Int) -> (big: Int, little: Int) {
    if recipe.architecture == .blvnetTAM {
      return temporal("\(name).tam", src, frames: recipe.groups, split: true)
    }
    return shape(of: src).frames == recipe.groups ? split("\(name).split", src) : (src, src)
  }

  private mutating func layer0(_ prefix: String, _ src: Int) -> Int {
    let width = recipe.width
    let narrow = width / recipe.alpha
    let (big, little) = frames(prefix, src)
    var b = convolution("\(prefix).b_conv0", big, width, kernel: 3, stride: 2)
    b = norm("\(prefix).bn_b0", b, relu: false)
    var l = convolution("\(prefix).l_conv0", little, narrow, kernel: 3)
    l = norm("\(prefix).bn_l0", l, relu: true)
    l = convolution("\(prefix).l_conv1", l, narrow, kernel: 3, stride: 2)
    l = norm("\(prefix).bn_l1", l, relu: true)
    l = convolution("\(prefix).l_conv2", l, width)
    let sum = norm("\(prefix).bn_l2", l, relu: true, residual: b)
    return norm("\(prefix).bn_bl_init", convolution("\(prefix).bl_init", sum, width), relu: true)
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
    little = convolution("\(name).little_e.0", little, planes)
    let sum = norm("\(name).little_e.1", little, relu: true, residual: big)
    return bottleneck("\(name).fusion.0", sum, planes: planes, stride: stride)
  }

  /// - Parameter identity: the residual where nothing is sampled down, if it is not `src`.
  private mutating func bottleneck(
    _ name: String, _ src: Int, identity: Int? = nil, planes: Int, stride: Int, relu: Bool = true
  ) -> Int {
    let middle = planes / 4
    var x = norm("\(name).bn1", convolution("\(name).conv1", src, middle), relu: true)
    x = norm("\(name).bn2", convolution("\(name).conv2", x, middle, kernel: 3, stride: stride), relu: true)
    x = convolution("\(name).conv3", x, planes)

    var residual = identity ?? src
    if stride != 1 || shape(of: src).channels != planes {
      residual = src
      var part = 0
      if stride != 1 {
        residual = averagePool("\(name).downsample.0", src)
        part += 1
      }
      if shape(of: src).channels != planes {
        residual = convolution("\(name).downsample.\(part)", residual, planes)
        residual = norm("\(name).downsample.\(part + 1)", residual, relu: false)
      }
    }
    return norm("\(name).bn3", x, relu: relu, residual: residual)
  }
}
