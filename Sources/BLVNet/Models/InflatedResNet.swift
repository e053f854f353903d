// I3D: a ResNet whose kernels extend over three frames.
import Recipes
import Shared

/// The stem and the 3x3 convolution of every bottleneck have three taps in time. With temporal stride, the first blocks
/// of layers 2 to 4 halve the number of frames. There is no pool over time but the last mean. The names are
/// torchvision's, the weights [O, I, time, height, width].
///
/// **Source:** Carreira and Zisserman, "Quo Vadis, Action Recognition? A New Model and the Kinetics Dataset", CVPR
/// 2017, on ResNet as in Chen et al., "Deep Analysis of CNN-based Spatio-temporal Representations for Action
/// Recognition", CVPR 2021.
struct InflatedResNet: ModelDefinition {
  func build(_ recipe: ModelRecipe, _ builder: inout StructureBuilder) {
    let width = recipe.width
    let input = builder.input(recipe)
    var x = builder.temporalConvolution("conv1", input, width, kernel: 7, stride: 2)
    x = builder.norm("bn1", x, relu: true)
    x = builder.maxPool("maxpool", x)
    for (layer, blocks) in resNetBlocks(depth: recipe.depth).enumerated() {
      for block in 0..<blocks {
        let reduces = layer > 0 && block == 0
        x = bottleneck(
          "layer\(layer + 1).\(block)", x, planes: width << layer, stride: reduces ? 2 : 1,
          timeStride: reduces && recipe.temporalStride ? 2 : 1, &builder)
      }
    }
    builder.classifier("fc", x, classes: recipe.classes, dropout: recipe.dropout, deviation: 0.001)
  }

  private func bottleneck(
    _ name: String, _ src: Int, planes: Int, stride: Int, timeStride: Int, _ builder: inout StructureBuilder
  ) -> Int {
    func pointwise(_ inputs: Int, _ outputs: Int) -> [Int] { [outputs, inputs, 1, 1, 1] }
    let channels = builder.shape(of: src).channels
    var x = builder.convolution("\(name).conv1", src, planes, weightShape: pointwise(channels, planes))
    x = builder.norm("\(name).bn1", x, relu: true)
    x = builder.temporalConvolution("\(name).conv2", x, planes, kernel: 3, stride: stride, timeStride: timeStride)
    x = builder.norm("\(name).bn2", x, relu: true)
    x = builder.convolution("\(name).conv3", x, 4 * planes, weightShape: pointwise(planes, 4 * planes))
    var residual = src
    if channels != 4 * planes {
      residual = builder.stridedPointwise(
        "\(name).downsample.0", src, 4 * planes, stride: stride, timeStride: timeStride,
        weightShape: pointwise(channels, 4 * planes))
      residual = builder.norm("\(name).downsample.1", residual, relu: false)
    }
    return builder.norm("\(name).bn3", x, relu: true, residual: residual)
  }
}
