// From a decoded picture to the network's input. What the numbers mean is in ColourRule, where they are in PixelLayout,
// which of them count in ResizeFilter; the arithmetic is in CKernels/video_convert.c.
import CFFmpeg
import CKernels
import Shared

/// Converts the pictures of one clip. It belongs to one thread.
///
/// The results are the same on every CPU and with every version of FFmpeg, but for the formats that only libswscale
/// knows (`ScaledByFFmpeg`).
@safe
final class FrameConverter {
  /// Raise it whenever a result changes in one bit. Runs of another version are refused.
  static let version = 1

  /// Pixels on a side of the result.
  let size: Int
  private let gateway: FFmpegGateway
  private var conversion: Conversion?
  private let scaler: ScaledByFFmpeg
  private let kernel: Kernel

  typealias Kernel = (
    UnsafePointer<tamring_video_conversion>?, UnsafePointer<tamring_video_plane>?, UnsafeMutablePointer<Float>?,
    UnsafeMutablePointer<Float>?
  ) -> Void

  convenience init(size: Int, path: String) {
    unsafe self.init(size: size, path: path, kernel: tamring_video_convert)
  }

  /// - Parameter kernel: another variant of the kernel, for tests.
  init(size: Int, path: String, kernel: @escaping Kernel) {
    self.size = size
    unsafe self.kernel = unsafe kernel
    gateway = FFmpegGateway(path: path)
    scaler = ScaledByFFmpeg(gateway)
  }

  /// Writes one picture of a clip.
  /// - Parameters:
  ///   - plan: the crop of the displayed picture, and whether to mirror it.
  ///   - dst: [size, size, 3].
  /// - Throws: `VideoError` for a picture that cannot be converted.
  func write(
    _ frame: DecodedFrame, _ plan: CropPlan, _ orientation: Orientation, to dst: UnsafeMutableBufferPointer<Float>
  ) throws(VideoError) {
    precondition(dst.count == size * size * 3, "a picture of \(size * size * 3) numbers, not \(dst.count)")
    let format = unsafe AVPixelFormat(frame.pointer.pointee.format)
    guard let layout = PixelLayout(format) else { throw gateway.error("convert", "an unknown pixel format") }
    let key = ConversionKey(
      format: format.rawValue, width: frame.width, height: frame.height,
      colours: unsafe ColourRule(frame.pointer, layout.kind), plan: plan, orientation: orientation)
    let conversion: Conversion
    if let last = self.conversion, last.key == key {
      conversion = last
    } else {
      conversion = Conversion(key, layout, size: size)
      self.conversion = conversion
    }
    unsafe try conversion.run(frame, scaler, gateway, kernel, to: dst)
  }
}

/// Everything that a conversion depends on, besides the samples.
struct ConversionKey: Hashable {
  var format: Int32
  var width: Int
  var height: Int
  var colours: ColourRule
  var plan: CropPlan
  var orientation: Orientation
}

/// What all pictures of a clip have in common.
@safe
private final class Conversion {
  let key: ConversionKey
  private let size: Int
  private let layout: PixelLayout
  /// For each component.
  private let across: [ResizeFilter]
  private let down: [ResizeFilter]
  private let numbers: AlignedStorage<Float>
  private let scratch: FloatStorage
  private let unpacked: UnpackedPicture

  init(_ key: ConversionKey, _ format: PixelLayout, size: Int) {
    self.key = key
    self.size = size
    // libswscale's result is an ordinary picture.
    let layout = format.access == .scaler ? PixelLayout(AV_PIX_FMT_RGB24) ?? format : format
    self.layout = format
    let (columns, rows) = Self.axes(key)
    let planes = layout.colours.indices
    func filters(_ axis: ResizeAxis, _ shift: Int, _ siting: ChromaSiting) -> [ResizeFilter] {
      let plain = ResizeFilter(axis, results: size)
      guard layout.kind == .yuv, shift > 0 else { return planes.map { _ in plain } }
      let chroma = ResizeFilter(axis, results: size, shift: shift, siting: siting)
      return [plain, chroma, chroma]
    }
    across = filters(columns, layout.chromaShiftX, key.colours.acrossSiting)
    down = filters(rows, layout.chromaShiftY, key.colours.downSiting)
    numbers = AlignedStorage(
      key.colours.numbers(
        layout.kind, depths: layout.colours.map(\.depth),
        scales: layout.colours.map {
          layout.access == .unpacked ? UnpackedPicture.scale(layout, depth: $0.depth) : Double(1 << $0.shift)
        }))
    let widest = across.map(\.samples.count).max() ?? 0
    scratch = FloatStorage(count: Int(tamring_video_convert_scratch(Int64(size), Int64(widest))))
    unpacked = UnpackedPicture(layout, key.colours)
  }

  /// The stored picture's columns and rows that the display shows, and in which order.
  private static func axes(_ key: ConversionKey) -> (columns: ResizeAxis, rows: ResizeAxis) {
    let isTransposed = key.orientation.isTransposed
    let display =
      isTransposed
      ? PictureSize(width: key.height, height: key.width) : PictureSize(width: key.width, height: key.height)
    let scaled = key.plan.scaled ?? display
    let stored = key.orientation.stored(key.plan.rect, width: scaled.width, height: scaled.height)
    let turn = key.plan.flip ? key.orientation.flipped : key.orientation
    let seesBeyond = key.plan.scaled != nil
    let columns = ResizeAxis(
      picture: key.width, scaled: isTransposed ? scaled.height : scaled.width, start: stored.x, length: stored.width,
      seesBeyond: seesBeyond, isReversed: isTransposed ? turn.mirrorsY : turn.mirrorsX)
    let rows = ResizeAxis(
      picture: key.height, scaled: isTransposed ? scaled.width : scaled.height, start: stored.y,
      length: stored.height, seesBeyond: seesBeyond, isReversed: isTransposed ? turn.mirrorsX : turn.mirrorsY)
    return (columns, rows)
  }

  func run(
    _ frame: DecodedFrame, _ scaler: ScaledByFFmpeg, _ gateway: FFmpegGateway, _ kernel: FrameConverter.Kernel,
    to dst: UnsafeMutableBufferPointer<Float>
  ) throws(VideoError) {
    let planes = unsafe try self.planes(of: frame, scaler, gateway)
    var conversion = unsafe tamring_video_conversion(
      size: Int64(size), planes: Int64(planes.count), turned: key.orientation.isTransposed, colours: numbers.base)
    unsafe kernel(&conversion, planes, scratch.base, dst.baseAddress)
  }

  /// The picture's planes, valid as long as the frame, and until the next call.
  private func planes(
    of frame: DecodedFrame, _ scaler: ScaledByFFmpeg, _ gateway: FFmpegGateway
  ) throws(VideoError) -> [tamring_video_plane] {
    switch layout.access {
    case .direct:
      let picture = unsafe frame.pointer
      let data = unsafe [
        picture.pointee.data.0, picture.pointee.data.1, picture.pointee.data.2, picture.pointee.data.3,
      ]
      let lines = unsafe [
        picture.pointee.linesize.0, picture.pointee.linesize.1, picture.pointee.linesize.2, picture.pointee.linesize.3,
      ]
      var planes: [tamring_video_plane] = unsafe []
      for (index, component) in layout.colours.enumerated() {
        guard let start = unsafe data[component.plane] else {
          throw gateway.error("convert", "a picture without its plane \(component.plane)")
        }
        unsafe planes.append(
          plane(
            index, start + component.offset, rowBytes: Int(lines[component.plane]), sampleBytes: component.step,
            isWide: component.isWide))
      }
      return unsafe planes
    case .unpacked:
      let parts = across.indices.map { PlanePart(columns: across[$0].samples, rows: down[$0].samples) }
      let stored = try unpacked.read(frame, parts, as: AVPixelFormat(key.format), gateway)
      return unsafe stored.indices.map { index in
        let rowBytes = 2 * parts[index].columns.count
        return unsafe tamring_video_plane(
          samples: UnsafeRawPointer(stored[index].base).assumingMemoryBound(to: UInt8.self),
          row_bytes: Int64(rowBytes), sample_bytes: 2, wide: true, columns: Int64(parts[index].columns.count),
          across: filter(across[index]), down: filter(down[index]))
      }
    case .scaler:
      let picture = unsafe try scaler.rgb(frame.pointer)
      let rowBytes = ScaledByFFmpeg.rowBytes(frame.width)
      return unsafe (0..<3).map {
        unsafe plane($0, picture.base + $0, rowBytes: rowBytes, sampleBytes: 3, isWide: false)
      }
    }
  }

  /// A plane of which `start` is the first sample of all.
  private func plane(
    _ index: Int, _ start: UnsafeMutablePointer<UInt8>, rowBytes: Int, sampleBytes: Int, isWide: Bool
  ) -> tamring_video_plane {
    let (columns, rows) = (across[index].samples, down[index].samples)
    return unsafe tamring_video_plane(
      samples: start + rows.lowerBound * rowBytes + columns.lowerBound * sampleBytes, row_bytes: Int64(rowBytes),
      sample_bytes: Int64(sampleBytes), wide: isWide, columns: Int64(columns.count), across: filter(across[index]),
      down: filter(down[index]))
  }

  private func filter(_ filter: ResizeFilter) -> tamring_video_filter {
    unsafe tamring_video_filter(taps: Int64(filter.taps), first: filter.first.base, weights: filter.weights.base)
  }
}
