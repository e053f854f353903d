// From a decoded picture to one for the encoder: as displayed, at the packed size, 8-bit 4:2:0, in the clip's own
// colours.
import CFFmpeg
import CKernels
import Shared

/// A picture that owns its planes, in 8-bit 4:2:0.
@safe
final class PackedPicture {
  let frame: UnsafeMutablePointer<AVFrame>

  init(width: Int, height: Int, format: AVPixelFormat = AV_PIX_FMT_YUV420P, _ gateway: FFmpegGateway) throws(VideoError)
  {
    unsafe frame = try gateway.allocated("pack", unsafe av_frame_alloc())
    unsafe frame.pointee.format = format.rawValue
    unsafe (frame.pointee.width, frame.pointee.height) = (Int32(width), Int32(height))
    try gateway("pack", unsafe av_frame_get_buffer(frame, 0))
  }

  deinit {
    var owned: UnsafeMutablePointer<AVFrame>? = unsafe frame
    unsafe av_frame_free(&owned)
  }

  var width: Int { unsafe Int(frame.pointee.width) }
  var height: Int { unsafe Int(frame.pointee.height) }

  /// The planes of a picture in 8-bit 4:2:0.
  static func planes(_ frame: UnsafeMutablePointer<AVFrame>) -> [PicturePlane] {
    let (width, height) = unsafe (Int(frame.pointee.width), Int(frame.pointee.height))
    let (data, rows) = unsafe (frame.pointee.data, frame.pointee.linesize)
    return unsafe [(data.0, rows.0), (data.1, rows.1), (data.2, rows.2)].enumerated().map { number, plane in
      let shift = number == 0 ? 0 : 1
      return unsafe PicturePlane(
        base: plane.0, rowBytes: Int(plane.1), columns: (width + shift) >> shift, rows: (height + shift) >> shift)
    }
  }
}

/// The samples of one component.
@safe
struct PicturePlane {
  /// Nil for a picture that lacks it.
  let base: UnsafeMutablePointer<UInt8>?
  let rowBytes: Int
  let columns: Int
  let rows: Int
}

/// Scales the pictures of one clip. It belongs to one thread.
///
/// YUV stays in its own matrix and range, so nothing is converted that training would convert back; RGB becomes BT.601.
/// Pixels are taken as square, as in training.
@safe
final class PackScaler {
  private let shortSide: Int
  private let orientation: Orientation
  private let gateway: FFmpegGateway
  private let exotic: ScaledByFFmpeg
  private var context: OpaquePointer?
  private var plan: Plan?
  private var opaque: OpaquePointer?
  /// The display size of the first picture, which the clip's packed size follows.
  private var first: PictureSize?

  /// Bicubic, as FFmpeg's own scaling of such data sets is, in arithmetic that does not depend on the processor.
  private static let flags = SWS_BICUBIC | SWS_ACCURATE_RND | SWS_BITEXACT | SWS_FULL_CHR_H_INT | SWS_FULL_CHR_H_INP

  init(shortSide: Int, _ orientation: Orientation, _ gateway: FFmpegGateway) {
    self.shortSide = shortSide
    self.orientation = orientation
    self.gateway = gateway
    exotic = ScaledByFFmpeg(gateway)
  }

  deinit {
    unsafe sws_freeContext(context)
    unsafe sws_freeContext(opaque)
  }

  /// Everything that a context depends on.
  fileprivate struct Plan: Equatable {
    var format: Int32
    var width: Int
    var height: Int
    var colours: ColourRule
    var kind: PixelLayout.Kind
    var chromaShiftX: Int
    var chromaShiftY: Int
  }

  /// The packed size of a picture of this size: never larger, and even.
  static func size(of display: PictureSize, shortSide: Int) -> PictureSize {
    let short = min(display.width, display.height)
    func even(_ side: Int) -> Int {
      max(2, short <= shortSide ? side & ~1 : (side * shortSide + short) / (2 * short) * 2)
    }
    return PictureSize(width: even(display.width), height: even(display.height))
  }

  /// - Throws: `VideoError` for a picture that cannot be converted, or that has another shape than the first.
  func scale(_ frame: DecodedFrame) throws(VideoError) -> PackedPicture {
    let picture = unsafe frame.pointer
    let format = unsafe AVPixelFormat(picture.pointee.format)
    guard let layout = PixelLayout(format) else { throw gateway.error("convert", "an unknown pixel format") }
    let display =
      orientation.isTransposed
      ? PictureSize(width: frame.height, height: frame.width) : PictureSize(width: frame.width, height: frame.height)
    let first = self.first ?? display
    self.first = first
    // A video may change its size, but not its shape: it would be squeezed.
    let (a, b) = (first.width * display.height, first.height * display.width)
    guard abs(a - b) * 50 <= max(a, b) else {
      throw gateway.error(
        "pack",
        "its pictures change their shape, from \(first.width)x\(first.height) to \(display.width)x\(display.height)")
    }
    let size = Self.size(of: first, shortSide: shortSide)
    var plan = Plan(
      format: format.rawValue, width: frame.width, height: frame.height,
      colours: unsafe ColourRule(picture, layout.kind), kind: layout.kind, chromaShiftX: layout.chromaShiftX,
      chromaShiftY: layout.chromaShiftY)
    if layout.access == .scaler {
      let rgb = unsafe try exotic.rgb(picture)
      plan.asRGB(AV_PIX_FMT_RGB24)
      return try unsafe scaled([rgb.base], [Int32(ScaledByFFmpeg.rowBytes(frame.width))], plan, size)
    }
    if layout.alpha != nil {
      let shown = try unsafe overBlack(picture, plan, hasPalette: layout.hasPalette)
      plan.asRGB(AV_PIX_FMT_RGB0)
      return try unsafe scaled([shown.frame.pointee.data.0], [shown.frame.pointee.linesize.0], plan, size)
    }
    let (data, rows) = unsafe (picture.pointee.data, picture.pointee.linesize)
    return try unsafe scaled([data.0, data.1, data.2, data.3], [rows.0, rows.1, rows.2, rows.3], plan, size)
  }

  // MARK: Alpha

  private func overBlack(_ picture: UnsafeMutablePointer<AVFrame>, _ plan: Plan, hasPalette: Bool) throws(VideoError)
    -> PackedPicture
  {
    let shown = try PackedPicture(width: plan.width, height: plan.height, format: AV_PIX_FMT_RGBA, gateway)
    unsafe opaque = sws_getCachedContext(
      opaque, Int32(plan.width), Int32(plan.height), AVPixelFormat(plan.format), Int32(plan.width), Int32(plan.height),
      AV_PIX_FMT_RGBA, Self.flags, nil, nil, nil)
    guard unsafe opaque != nil else { throw refusal(plan) }
    _ = unsafe sws_setColorspaceDetails(
      opaque, sws_getCoefficients(plan.colours.coefficients), plan.colours.isFullRange ? 1 : 0,
      sws_getCoefficients(SWS_CS_ITU601), 1, 0, 1 << 16, 1 << 16)
    let (data, rows) = unsafe (picture.pointee.data, picture.pointee.linesize)
    try unsafe convert(opaque, [data.0, data.1, data.2, data.3], [rows.0, rows.1, rows.2, rows.3], plan.height, shown)
    unsafe tamring_pixels_over_black(
      shown.frame.pointee.data.0, Int64(shown.frame.pointee.linesize.0), Int64(plan.width), Int64(plan.height),
      hasPalette)
    return shown
  }

  // MARK: Scaling

  private func scaled(
    _ data: [UnsafeMutablePointer<UInt8>?], _ rows: [Int32], _ plan: Plan, _ size: PictureSize
  ) throws(VideoError) -> PackedPicture {
    let siting = PackedSiting(plan.colours, isKept: plan.kind == .yuv && plan.chromaShiftX > 0, orientation)
    let stored =
      orientation.isTransposed
      ? PictureSize(width: size.height, height: size.width) : size
    if self.plan != plan { try prepare(plan, stored, siting) }
    let picture = try PackedPicture(width: stored.width, height: stored.height, gateway)
    try unsafe convert(context, data, rows, plan.height, picture)
    let result = orientation == Orientation() ? picture : try turned(picture, size)
    let isYUV = plan.kind == .yuv
    unsafe result.frame.pointee.color_range = plan.isFullRange ? AVCOL_RANGE_JPEG : AVCOL_RANGE_MPEG
    unsafe result.frame.pointee.colorspace = isYUV ? AVColorSpace(plan.colours.matrix) : AVCOL_SPC_SMPTE170M
    unsafe result.frame.pointee.chroma_location = siting.tag
    return result
  }

  private func prepare(_ plan: Plan, _ stored: PictureSize, _ siting: PackedSiting) throws(VideoError) {
    unsafe sws_freeContext(context)
    unsafe context = sws_alloc_context()
    guard unsafe context != nil else { throw gateway.error("pack", tamring_ffmpeg_no_memory()) }
    let object = unsafe UnsafeMutableRawPointer(context)
    func set(_ name: String, _ value: Int) { unsafe av_opt_set_int(object, name, Int64(value), 0) }
    set("sws_flags", Int(Self.flags))
    set("srcw", plan.width)
    set("srch", plan.height)
    set("dstw", stored.width)
    set("dsth", stored.height)
    set("src_format", Int(plan.format))
    set("dst_format", Int(AV_PIX_FMT_YUV420P.rawValue))
    set("src_range", plan.kind == .rgb || plan.colours.isFullRange ? 1 : 0)
    set("dst_range", plan.isFullRange ? 1 : 0)
    if plan.kind == .yuv {
      if plan.chromaShiftX > 0 {
        set("src_h_chr_pos", PackedSiting.position(plan.colours.acrossSiting, plan.chromaShiftX))
      }
      if plan.chromaShiftY > 0 {
        set("src_v_chr_pos", PackedSiting.position(plan.colours.downSiting, plan.chromaShiftY))
      }
    }
    set("dst_h_chr_pos", PackedSiting.position(siting.across, 1))
    set("dst_v_chr_pos", PackedSiting.position(siting.down, 1))
    guard unsafe sws_init_context(context, nil, nil) >= 0 else { throw refusal(plan) }
    let matrix = unsafe sws_getCoefficients(plan.kind == .rgb ? SWS_CS_ITU601 : plan.colours.coefficients)
    _ = unsafe sws_setColorspaceDetails(
      context, matrix, plan.kind == .rgb || plan.colours.isFullRange ? 1 : 0, matrix, plan.isFullRange ? 1 : 0, 0,
      1 << 16, 1 << 16)
    self.plan = plan
  }

  private func convert(
    _ context: OpaquePointer?, _ data: [UnsafeMutablePointer<UInt8>?], _ rows: [Int32], _ height: Int,
    _ target: PackedPicture
  ) throws(VideoError) {
    let source = unsafe (data + Array(repeating: nil, count: 4 - data.count)).map { unsafe UnsafePointer($0) }
    let lines = rows + Array(repeating: 0, count: 4 - rows.count)
    let (to, toRows) = unsafe (target.frame.pointee.data, target.frame.pointee.linesize)
    let targets = unsafe [to.0, to.1, to.2, to.3]
    let done = unsafe sws_scale(
      context, source, lines, 0, Int32(height), targets, [toRows.0, toRows.1, toRows.2, toRows.3])
    guard done == target.height else {
      throw gateway.error("pack", "libswscale gave \(done) of \(target.height) rows")
    }
  }

  private func turned(_ picture: PackedPicture, _ size: PictureSize) throws(VideoError) -> PackedPicture {
    let result = try PackedPicture(width: size.width, height: size.height, gateway)
    let (sources, targets) = unsafe (PackedPicture.planes(picture.frame), PackedPicture.planes(result.frame))
    for (source, target) in zip(sources, targets) {
      unsafe tamring_turn_plane(
        source.base, Int64(source.rowBytes), target.base, Int64(target.rowBytes), Int64(target.columns),
        Int64(target.rows), orientation.isTransposed, orientation.mirrorsX, orientation.mirrorsY)
    }
    return result
  }

  private func refusal(_ plan: Plan) -> VideoError {
    gateway.endIfWithoutMemory()
    let name = unsafe av_get_pix_fmt_name(AVPixelFormat(plan.format)).map { unsafe String(cString: $0) } ?? "unknown"
    return gateway.error("pack", "no way to convert the pixel format \(name)")
  }
}

extension PackScaler.Plan {
  /// What is encoded of RGB has the limited range; other pictures keep theirs.
  fileprivate var isFullRange: Bool { kind != .rgb && colours.isFullRange }

  fileprivate mutating func asRGB(_ format: AVPixelFormat) {
    (self.format, kind, chromaShiftX, chromaShiftY) = (format.rawValue, .rgb, 0, 0)
  }
}

extension ColourRule {
  /// libswscale's number of the matrix, which it uses where alpha needs RGB.
  fileprivate var coefficients: Int32 {
    switch AVColorSpace(rawValue: matrix) {
    case AVCOL_SPC_BT709: SWS_CS_ITU709
    case AVCOL_SPC_FCC: SWS_CS_FCC
    case AVCOL_SPC_SMPTE240M: SWS_CS_SMPTE240M
    case AVCOL_SPC_BT2020_NCL, AVCOL_SPC_BT2020_CL: SWS_CS_BT2020
    default: SWS_CS_ITU601
    }
  }
}

/// Where the chroma samples of a packed picture are: where the clip has them, or else where H.264 has them by default.
private struct PackedSiting {
  /// Along the stored picture's axes.
  let across: ChromaSiting
  let down: ChromaSiting
  let tag: AVChromaLocation

  init(_ colours: ColourRule, isKept: Bool, _ orientation: Orientation) {
    func flipped(_ siting: ChromaSiting, _ isFlipped: Bool) -> ChromaSiting {
      switch siting {
      case .first: isFlipped ? .last : .first
      case .between: .between
      case .last: isFlipped ? .first : .last
      }
    }
    let stored = isKept ? (colours.acrossSiting, colours.downSiting) : (.first, .between)
    let turned = orientation.isTransposed && isKept ? (stored.1, stored.0) : stored
    var x = isKept ? flipped(turned.0, orientation.mirrorsX) : turned.0
    let y = isKept ? flipped(turned.1, orientation.mirrorsY) : turned.1
    // H.264 has no name for the last column.
    if x == .last { x = .between }
    tag =
      switch (x, y) {
      case (.first, .first): AVCHROMA_LOC_TOPLEFT
      case (.first, .between): AVCHROMA_LOC_LEFT
      case (.first, .last): AVCHROMA_LOC_BOTTOMLEFT
      case (_, .first): AVCHROMA_LOC_TOP
      case (_, .between): AVCHROMA_LOC_CENTER
      case (_, .last): AVCHROMA_LOC_BOTTOM
      }
    let (u, v) = (flipped(x, orientation.mirrorsX), flipped(y, orientation.mirrorsY))
    (across, down) = orientation.isTransposed ? (v, u) : (u, v)
  }

  /// In 256ths of a pixel, as libswscale counts; 2^shift pixels share a sample.
  static func position(_ siting: ChromaSiting, _ shift: Int) -> Int {
    switch siting {
    case .first: 0
    case .between: (128 << shift) - 128
    case .last: min(512, (256 << shift) - 256)
    }
  }
}
