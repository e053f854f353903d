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
    if let mistake = mistakes.first { throw BLVNetError(.badConfiguration, mistake) }
  }
}
