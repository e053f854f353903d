// How a stored picture is oriented for display: the eight combinations of quarter turns and mirrors.
import CFFmpeg

/// A rectangle of whole pixels.
public struct PixelRect: Hashable, Sendable {
  public var x: Int
  public var y: Int
  public var width: Int
  public var height: Int

  public init(x: Int, y: Int, width: Int, height: Int) {
    self.x = x
    self.y = y
    self.width = width
    self.height = height
  }
}

/// From storage to display: first the transposition (`isTransposed`), then the mirrors.
struct Orientation: Hashable, Sendable {
  var isTransposed = false
  var mirrorsX = false
  var mirrorsY = false

  /// - Parameter matrix: the 9 numbers of FFmpeg's display matrix: x' = a·x + c·y, y' = b·x + d·y for [a b _ c d _ …].
  /// - Returns: nil if the matrix is not a multiple of 90 degrees.
  init?(matrix: [Int32]) {
    let (a, b, c, d) = (Int64(matrix[0]), Int64(matrix[1]), Int64(matrix[3]), Int64(matrix[4]))
    if a == 0 && b == 0 && c == 0 && d == 0 { return }
    // A tenth of a degree off still counts.
    let slack = max(abs(a), abs(b), abs(c), abs(d)) / 512
    if abs(b) <= slack && abs(c) <= slack {
      (mirrorsX, mirrorsY) = (a < 0, d < 0)
    } else if abs(a) <= slack && abs(d) <= slack {
      (isTransposed, mirrorsX, mirrorsY) = (true, c < 0, b < 0)
    } else {
      return nil
    }
  }

  init() {}

  /// The clockwise rotation in degrees, without mirrors.
  var degrees: Int {
    if isTransposed { return mirrorsX ? 90 : 270 }
    return mirrorsX && mirrorsY ? 180 : 0
  }

  /// Whether the display is mirrored left to right as well.
  var flipped: Orientation {
    var result = self
    result.mirrorsX.toggle()
    return result
  }

  /// The stored pixels that the display shows in `rect`.
  /// - Parameters:
  ///   - width: of the display.
  ///   - height: of the display.
  func stored(_ rect: PixelRect, width: Int, height: Int) -> PixelRect {
    let x = mirrorsX ? width - rect.x - rect.width : rect.x
    let y = mirrorsY ? height - rect.y - rect.height : rect.y
    return isTransposed
      ? PixelRect(x: y, y: x, width: rect.height, height: rect.width)
      : PixelRect(x: x, y: y, width: rect.width, height: rect.height)
  }
}
