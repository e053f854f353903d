// From a decoder's numbers to normalised red, green and blue: matrix, range, bit depth, mean and deviation in one.
import CFFmpeg

/// How a picture's numbers mean colours.
struct ColourRule: Hashable, Sendable {
  /// One of FFmpeg's `AVColorSpace`.
  var matrix: UInt32
  /// Black is 0 and white the largest value; otherwise they are 16 and 235, and chroma goes from 16 to 240, for 8 bits.
  var isFullRange: Bool
  var acrossSiting: ChromaSiting
  var downSiting: ChromaSiting

  /// What a decoded frame says about itself. A YUV picture that does not say its range has the limited one, a grey one
  /// the full one. Chroma whose place is not said is between the pixels. libswscale assumes the same.
  init(_ frame: UnsafeMutablePointer<AVFrame>, _ kind: PixelLayout.Kind) {
    matrix = unsafe UInt32(truncatingIfNeeded: frame.pointee.colorspace.rawValue)
    let range = unsafe frame.pointee.color_range
    let format = unsafe AVPixelFormat(frame.pointee.format)
    isFullRange =
      range == AVCOL_RANGE_JPEG || kind == .grey && range != AVCOL_RANGE_MPEG
      || [
        AV_PIX_FMT_YUVJ420P, AV_PIX_FMT_YUVJ422P, AV_PIX_FMT_YUVJ444P, AV_PIX_FMT_YUVJ440P, AV_PIX_FMT_YUVJ411P,
      ].contains(format)
    let place = unsafe frame.pointee.chroma_location
    acrossSiting =
      [AVCHROMA_LOC_LEFT, AVCHROMA_LOC_TOPLEFT, AVCHROMA_LOC_BOTTOMLEFT].contains(place) ? .first : .between
    downSiting =
      [AVCHROMA_LOC_TOP, AVCHROMA_LOC_TOPLEFT].contains(place)
      ? .first : [AVCHROMA_LOC_BOTTOM, AVCHROMA_LOC_BOTTOMLEFT].contains(place) ? .last : .between
  }

  /// The channels' means and deviations over ImageNet, which published weights expect.
  private static let means = [0.485, 0.456, 0.406]
  private static let deviations = [0.229, 0.224, 0.225]

  /// What the kernel computes with: for each of red, green and blue the factors of the three components, a constant,
  /// and the values of black and of full intensity.
  /// - Parameters:
  ///   - depths: bits of each component.
  ///   - scales: what one step of a component adds to its number in memory.
  func numbers(_ kind: PixelLayout.Kind, depths: [Int], scales: [Double]) -> [Float] {
    let rows = coefficients(kind)
    return (0..<3).flatMap { channel -> [Float] in
      let (mean, deviation) = (Self.means[channel], Self.deviations[channel])
      var factors = [0.0, 0, 0]
      var constant = -mean
      for (component, depth) in depths.enumerated() {
        let (zero, span) = extent(kind, component: component, depth: depth)
        factors[component] = rows[channel][component] / (span * scales[component] * deviation)
        constant -= rows[channel][component] * zero / span
      }
      return (factors + [constant / deviation, -mean / deviation, (1 - mean) / deviation]).map { Float($0) }
    }
  }

  /// The number that stands for 0, and the distance of the one that stands for 1.
  func extent(_ kind: PixelLayout.Kind, component: Int, depth: Int) -> (zero: Double, span: Double) {
    let largest = Double((1 << depth) - 1)
    if kind == .rgb { return (0, largest) }
    let isChroma = component > 0
    let zero = isChroma ? Double(1 << (depth - 1)) : 0
    if isFullRange { return (zero, largest) }
    // ITU-R BT.601-7 section 2.5, BT.709-6 section 4, BT.2020-2 table 5.
    let unit = Double(1 << depth) / 256
    return isChroma ? (zero, 224 * unit) : (16 * unit, 219 * unit)
  }

  /// Red, green and blue from Y in 0…1 and chroma in −½…½, or from themselves.
  private func coefficients(_ kind: PixelLayout.Kind) -> [[Double]] {
    switch kind {
    case .rgb: return [[1, 0, 0], [0, 1, 0], [0, 0, 1]]
    case .grey: return [[1, 0, 0], [1, 0, 0], [1, 0, 0]]
    case .yuv: break
    }
    // ITU-T H.273 table 4.
    if matrix == AVCOL_SPC_YCGCO.rawValue { return [[1, -1, 1], [1, 1, 0], [1, -1, -1]] }
    let (red, blue): (Double, Double) =
      switch AVColorSpace(rawValue: matrix) {
      case AVCOL_SPC_BT709: (0.2126, 0.0722)
      case AVCOL_SPC_FCC: (0.30, 0.11)
      case AVCOL_SPC_SMPTE240M: (0.212, 0.087)
      // Constant luminance is not linear; like libswscale, we take it for the other kind.
      case AVCOL_SPC_BT2020_NCL, AVCOL_SPC_BT2020_CL: (0.2627, 0.0593)
      // BT.601 also where nothing is said, whatever the picture's size, as every other reader of clips does.
      default: (0.299, 0.114)
      }
    let green = 1 - red - blue
    return [
      [1, 0, 2 * (1 - red)],
      [1, -2 * (1 - blue) * blue / green, -2 * (1 - red) * red / green],
      [1, 2 * (1 - blue), 0],
    ]
  }
}
