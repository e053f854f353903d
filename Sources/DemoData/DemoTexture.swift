// The textures of the demo's clips. Integers only, since floating point could differ between CPUs.
import Shared

/// A colour in 8-bit YUV of limited range.
struct DemoColour {
  var y: Int
  var u: Int
  var v: Int
}

/// Value noise in two octaves: random values at the corners of a lattice, interpolated between them. The value blends
/// two colours.
struct DemoTexture {
  private let table: [UInt8]
  private let cellShift: Int
  private let low: DemoColour
  private let high: DemoColour

  /// - Parameter brightness: the mean luma.
  init(brightness: Int, from random: inout Philox) {
    var table: [UInt8] = []
    for _ in 0..<128 {
      let word = random.nextWord()
      for byte in 0..<4 { table.append(UInt8(truncatingIfNeeded: word >> (8 * byte))) }
    }
    self.table = table
    cellShift = 7 + random.below(2)
    let contrast = 20 + random.below(20)
    low = DemoColour(y: brightness - contrast, u: 88 + random.below(80), v: 88 + random.below(80))
    high = DemoColour(y: brightness + contrast, u: 88 + random.below(80), v: 88 + random.below(80))
  }

  /// The colour at a point, in sixteenths of a pixel.
  func colour(x: Int, y: Int) -> DemoColour {
    let value = (2 * noise(x, y, cellShift) + noise(x + 4096, y + 4096, cellShift - 1)) / 3
    func blend(_ low: Int, _ high: Int) -> Int { low + (((high - low) * value) >> 8) }
    return DemoColour(y: blend(low.y, high.y), u: blend(low.u, high.u), v: blend(low.v, high.v))
  }

  /// 0...255.
  private func noise(_ x: Int, _ y: Int, _ shift: Int) -> Int {
    let mask = (1 << shift) - 1
    let (column, row, right, down) = (x >> shift, y >> shift, x & mask, y & mask)
    let top = (corner(column, row) << shift) + (corner(column + 1, row) - corner(column, row)) * right
    let bottom = (corner(column, row + 1) << shift) + (corner(column + 1, row + 1) - corner(column, row + 1)) * right
    return ((top << shift) + (bottom - top) * down) >> (2 * shift)
  }

  private func corner(_ column: Int, _ row: Int) -> Int {
    Int(table[256 + ((Int(table[column & 255]) + row) & 255)])
  }
}
