// Pixel formats that only libswscale knows: Bayer patterns, XYZ, single bits, floats. It converts the whole picture.
import CFFmpeg
import Shared

/// Owns libswscale's state and the picture in RGB24. It belongs to one thread.
@safe
final class ScaledByFFmpeg {
  private let gateway: FFmpegGateway
  private var scaler: OpaquePointer?
  private var picture = AlignedStorage<UInt8>(count: 0)

  private static let flags =
    SWS_BILINEAR | SWS_BITEXACT | SWS_ACCURATE_RND | SWS_FULL_CHR_H_INT | SWS_FULL_CHR_H_INP

  init(_ gateway: FFmpegGateway) { self.gateway = gateway }

  deinit { unsafe sws_freeContext(scaler) }

  static func rowBytes(_ width: Int) -> Int { (width * 3 + 63) & ~63 }

  /// - Returns: the picture in its own size, rows of `rowBytes(width)`.
  func rgb(_ frame: UnsafeMutablePointer<AVFrame>) throws(VideoError) -> AlignedStorage<UInt8> {
    let (width, height) = unsafe (frame.pointee.width, frame.pointee.height)
    let rowBytes = Self.rowBytes(Int(width))
    let format = unsafe AVPixelFormat(frame.pointee.format)
    unsafe scaler = sws_getCachedContext(
      scaler, width, height, format, width, height, AV_PIX_FMT_RGB24, Self.flags, nil, nil, nil)
    guard unsafe scaler != nil else {
      gateway.endIfWithoutMemory()
      let name = unsafe av_get_pix_fmt_name(format).map { unsafe String(cString: $0) } ?? "unknown"
      throw gateway.error("convert", "no way to convert the pixel format \(name)")
    }
    // Grey floats have the full range. The other formats have no range to set.
    let matrix = unsafe sws_getCoefficients(SWS_CS_DEFAULT)
    _ = unsafe sws_setColorspaceDetails(scaler, matrix, 1, matrix, 1, 0, 1 << 16, 1 << 16)
    if picture.count != rowBytes * Int(height) { picture = AlignedStorage(count: rowBytes * Int(height)) }
    let data = unsafe [
      UnsafePointer(frame.pointee.data.0), UnsafePointer(frame.pointee.data.1), UnsafePointer(frame.pointee.data.2),
      UnsafePointer(frame.pointee.data.3),
    ]
    let lines = unsafe [
      frame.pointee.linesize.0, frame.pointee.linesize.1, frame.pointee.linesize.2, frame.pointee.linesize.3,
    ]
    var target: [UnsafeMutablePointer<UInt8>?] = unsafe [picture.base, nil, nil, nil]
    let done = unsafe sws_scale(scaler, data, lines, 0, height, &target, [Int32(rowBytes), 0, 0, 0])
    guard done == height else { throw gateway.error("convert", "libswscale gave \(done) of \(height) rows") }
    return picture
  }

  /// A digest of what this libswscale makes of a fixed picture in each format that may come here. Two versions that
  /// agree in it give the same bits.
  static let digest: String = {
    let stream = Digest128Stream()
    var random = Philox(seed: 1, .selfTest)
    for format in [
      AV_PIX_FMT_BAYER_BGGR8, AV_PIX_FMT_BAYER_RGGB8, AV_PIX_FMT_BAYER_GBRG8, AV_PIX_FMT_BAYER_GRBG8,
      AV_PIX_FMT_BAYER_BGGR16LE, AV_PIX_FMT_BAYER_RGGB16LE, AV_PIX_FMT_BAYER_GBRG16LE, AV_PIX_FMT_BAYER_GRBG16LE,
      AV_PIX_FMT_XYZ12LE, AV_PIX_FMT_MONOWHITE, AV_PIX_FMT_MONOBLACK, AV_PIX_FMT_GBRPF32LE, AV_PIX_FMT_GRAYF32LE,
    ] {
      var frame = unsafe av_frame_alloc()
      defer { unsafe av_frame_free(&frame) }
      guard let made = unsafe frame else { return "no memory" }
      unsafe made.pointee.format = format.rawValue
      unsafe (made.pointee.width, made.pointee.height) = (32, 32)
      guard unsafe av_frame_get_buffer(made, 0) == 0 else { return "no memory" }
      let (data, lines) = unsafe (made.pointee.data, made.pointee.linesize)
      let (starts, rows) = unsafe ([data.0, data.1, data.2], [lines.0, lines.1, lines.2])
      for plane in 0..<3 {
        guard let start = unsafe starts[plane] else { continue }
        let isFloat = format == AV_PIX_FMT_GBRPF32LE || format == AV_PIX_FMT_GRAYF32LE
        for place in stride(from: 0, to: 32 * Int(rows[plane]), by: 4) {
          let word = isFloat ? Float(random.unit()).bitPattern : random.nextWord()
          unsafe UnsafeMutableRawPointer(start + place).storeBytes(of: word, as: UInt32.self)
        }
      }
      guard let rgb = unsafe try? ScaledByFFmpeg(FFmpegGateway(path: "")).rgb(made) else {
        stream.update([0])
        continue
      }
      stream.update([1])
      unsafe stream.update(UnsafeRawBufferPointer(rgb.bytes))
    }
    return stream.finish().description
  }()
}
