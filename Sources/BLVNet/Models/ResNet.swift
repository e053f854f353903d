// ResNet over the frames of a clip, and what mixes time in its blocks: TSN, TSM and TAM on ResNet.
import Recipes
import Shared

/// Blocks of layers 1 to 4 of a ResNet.
func resNetBlocks(depth: Int) -> [Int] {
  switch depth {
  case 101: [3, 4, 23, 3]
  case 152: [3, 8, 36, 3]
  default: [3, 4, 6, 3]
  }
}

/// A ResNet of bottlenecks whose stride is in the 3x3 convolution. Each frame is an image; the logits are the mean over
/// the frames. In every block a temporal module or a shift may precede the residual branch, which alone sees it. With
/// temporal stride, layers 1 to 3 each end in a pool over time. The names are torchvision's.
///
/// **Source:** He et al., "Deep Residual Learning for Image Recognition", CVPR 2016; Wang et al., "Temporal Segment
/// Networks", ECCV 2016; Lin, Gan and Han, "TSM", ICCV 2019; Chen et al., "Deep Analysis of CNN-based Spatio-temporal
/// Representations for Action Recognition", CVPR 2021 (TAM).
struct ResNet: ModelDefinition {
  let temporal: TemporalMixing

  func build(_ recipe: ModelRecipe, _ builder: inout StructureBuilder) {
    let width = recipe.width
    let input = builder.input(recipe)
    var x = builder.convolution("conv1", input, width, kernel: 7, stride: 2)
    x = builder.norm("bn1", x, relu: true)
    x = builder.maxPool("maxpool", x)
    let blocks = resNetBlocks(depth: recipe.depth)
    // Deep networks shift in every second block.
    let shiftEvery = blocks[2] < 23 ? 1 : 2
    for layer in 1...4 {
      for block in 0..<blocks[layer - 1] {
        let name = "layer\(layer).\(block)"
        let branch = mixed(name, x, recipe, shifts: block % shiftEvery == 0, &builder)
        x = bottleneck(
          name, x, branch: branch, planes: width << (layer - 1), stride: layer > 1 && block == 0 ? 2 : 1, &builder)
      }
      if recipe.temporalStride, layer < 4 {
        x = builder.temporalPool("layer\(layer).pool", x, recipe.temporalPooling)
      }
    }
    builder.classifier("fc", x, classes: recipe.classes, dropout: recipe.dropout, deviation: nil)
  }

  /// The input of a block's residual branch.
  private func mixed(
    _ name: String, _ src: Int, _ recipe: ModelRecipe, shifts: Bool, _ builder: inout StructureBuilder
  ) -> Int {
    let frames = builder.shape(of: src).frames
    switch temporal {
    case .none: return src
    case .module:
      let taps =
        recipe.blendingFrames == 3
        ? ["prev_se", "curr_se", "next_se"] : (0..<recipe.blendingFrames).map { "blending_layers.\($0)" }
      return builder.temporal("\(name).tam", src, frames: frames, taps: taps.map { "\($0).fc1" }, split: false).big
    case .shift:
      guard shifts, builder.shape(of: src).channels >= recipe.shiftDiv else { return src }
      return builder.shift("\(name).shift", src, frames: frames, parts: recipe.shiftDiv, split: false).big
    }
  }

  private func bottleneck(
    _ name: String, _ src: Int, branch: Int, planes: Int, stride: Int, _ builder: inout StructureBuilder
  ) -> Int {
    var x = builder.norm("\(name).bn1", builder.convolution("\(name).conv1", branch, planes), relu: true)
    x = builder.convolution("\(name).conv2", x, planes, kernel: 3, stride: stride)
    x = builder.norm("\(name).bn2", x, relu: true)
    x = builder.convolution("\(name).conv3", x, 4 * planes)
    var residual = src
    if builder.shape(of: src).channels != 4 * planes {
      residual = builder.stridedPointwise("\(name).downsample.0", src, 4 * planes, stride: stride)
      residual = builder.norm("\(name).downsample.1", residual, relu: false)
    }
    return builder.norm("\(name).bn3", x, relu: true, residual: residual)
  }
}
