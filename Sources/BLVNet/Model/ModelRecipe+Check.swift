// Which models can be built.
import Shared

extension ModelRecipe {
  /// Blocks of layers 1 to 4.
  var blocks: [Int] {
    switch depth {
    case 101: [4, 8, 18, 3]
    case 152: [5, 12, 30, 3]
    default: [3, 4, 6, 3]
    }
  }

  /// - Throws: `BLVNetError(.badConfiguration)` that names the key at fault.
  public func check() throws {
    func require(_ holds: Bool, _ key: String, _ value: some Any, _ rule: String) throws {
      guard holds else { throw BLVNetError(.badConfiguration, "model.\(key) is \(value); it must be \(rule)") }
    }
    try require([50, 101, 152].contains(depth), "depth", depth, "50, 101 or 152")
    try require(groups >= 2 && groups % 2 == 0 && groups <= 4096, "groups", groups, "an even number from 2 to 4096")
    try require((16...4096).contains(inputSize), "input_size", inputSize, "from 16 to 4096 pixels")
    try require(alpha >= 1, "alpha", alpha, "at least 1")
    try require(beta >= 1, "beta", beta, "at least 1")
    try require(
      width >= 1 && width <= 4096 && width % alpha == 0, "width", width, "from 1 to 4096, and a multiple of alpha")
    try require((1...64).contains(blendingFrames), "blending_frames", blendingFrames, "from 1 to 64")
    try require(dropout >= 0 && dropout < 1, "dropout", dropout, "at least 0 and below 1")
    try require((1...1_000_000).contains(classes), "classes", classes, "from 1 to 1000000")
  }
}
