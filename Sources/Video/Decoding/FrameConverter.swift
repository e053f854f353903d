// From a decoded picture to normalised floats: crop, convert colours, scale, rotate, mirror, normalise.
import CFFmpeg
import CKernels
import Foundation
import Shared

/// Owns the scaler's state and one small picture. It belongs to one thread.
///
/// The results are the same on every CPU: FFmpeg's scaler runs in its bit-exact modes, and the rest is table look-up.
@safe
final class FrameConverter {
  /// Pixels on a side of the result.
  let size: Int
  private let gateway: FFmpegGateway
  private var cropper: OpaquePointer?
  private var whole: OpaquePointer?
  private let square: AlignedStorage<UInt8>
  private var full = AlignedStorage<UInt8>(count: 0)

  /// Bilinear, like the reference implementation; more than two taps when shrinking.
  private static let flags =
    SWS_BILINEAR | SWS_BITEXACT | SWS_ACCURATE_RND | SWS_FULL_CHR_H_INT | SWS_FULL_CHR_H_INP

  /// (v/255 − mean)/deviation for the 256 values of red, green and blue.
  private static let normalised: [Float] = zip([0.485, 0.456, 0.406] as [Float], [0.229, 0.224, 0.225] as [Float])
    .flatMap { mean, deviation in (0..<256).map { (Float($0) / 255 - mean) / deviation } }

  init(size: Int, path: String) {
    self.size = size
    gateway = FFmpegGateway(path: path)
    square = AlignedStorage(count: FrameConverter.rowBytes(size) * size)
  }

  deinit {
    unsafe sws_freeContext(cropper)
    unsafe sws_freeContext(whole)
  }

  private static func rowBytes(_ width: Int) -> Int { (width * 3 + 63) & ~63 }

  /// Writes one picture of a clip.
  /// - Parameters:
  ///   - plan: the crop of the displayed picture, and whether to mirror it.
  ///   - dst: [size, size, 3].
  func write(
    _ frame: DecodedFrame, _ plan: CropPlan, _ orientation: Orientation, to dst: UnsafeMutableBufferPointer<Float>
  ) throws(VideoError) {
    precondition(dst.count == size * size * 3, "a picture of \(size * size * 3) numbers, not \(dst.count)")
    let turned = orientation.isTransposed
    let stored = orientation.stored(
      plan.rect, width: turned ? frame.height : frame.width, height: turned ? frame.width : frame.height)
    try scale(frame, stored)

    let row = FrameConverter.rowBytes(size)
    let turn = plan.flip ? orientation.flipped : orientation
    // The distances in the stored picture to the next displayed column and row.
    let across = (turned ? row : 3) * (turn.mirrorsX ? -1 : 1)
    let down = (turned ? 3 : row) * (turn.mirrorsY ? -1 : 1)
    let origin = (across < 0 ? -across * (size - 1) : 0) + (down < 0 ? -down * (size - 1) : 0)
    unsafe FrameConverter.normalised.withUnsafeBufferPointer { table in
      unsafe tamring_video_normalise(
        square.base, origin, down, across, size, table.baseAddress, dst.baseAddress)
    }
  }

  /// Fills `square` with the scaled RGB values of a stored rectangle.
  private func scale(_ frame: DecodedFrame, _ rect: PixelRect) throws(VideoError) {
    let picture = unsafe frame.pointer
    let format = unsafe AVPixelFormat(picture.pointee.format)
    guard let descriptor = unsafe av_pix_fmt_desc_get(format) else {
      throw gateway.error("scale", "an unknown pixel format")
    }
    let flags = unsafe Int32(truncatingIfNeeded: descriptor.pointee.flags)
    let (shiftX, shiftY) = unsafe (Int(descriptor.pointee.log2_chroma_w), Int(descriptor.pointee.log2_chroma_h))
    let isPacked = flags & AV_PIX_FMT_FLAG_PLANAR == 0 && shiftX + shiftY > 0
    let indivisible = AV_PIX_FMT_FLAG_BITSTREAM | AV_PIX_FMT_FLAG_PAL | AV_PIX_FMT_FLAG_BAYER
    if rect == PixelRect(x: 0, y: 0, width: frame.width, height: frame.height) || flags & indivisible == 0 && !isPacked
    {
      // A crop cannot begin inside a chroma sample.
      let (x, y) = ((rect.x >> shiftX) << shiftX, (rect.y >> shiftY) << shiftY)
      let colours = unsafe Colours(picture)
      var planes: [UnsafePointer<UInt8>?] = unsafe []
      var rows: [Int32] = []
      var steps = [Int32](repeating: 0, count: 4)
      unsafe av_image_fill_max_pixsteps(&steps, nil, descriptor)
      let data = unsafe [
        picture.pointee.data.0, picture.pointee.data.1, picture.pointee.data.2, picture.pointee.data.3,
      ]
      let lines = unsafe [
        picture.pointee.linesize.0, picture.pointee.linesize.1, picture.pointee.linesize.2, picture.pointee.linesize.3,
      ]
      for plane in 0..<4 {
        let isChroma = plane == 1 || plane == 2
        let offset =
          (isChroma ? y >> shiftY : y) * Int(lines[plane]) + (isChroma ? x >> shiftX : x) * Int(steps[plane])
        unsafe planes.append(data[plane].map { unsafe UnsafePointer($0 + offset) })
        rows.append(lines[plane])
      }
      try unsafe run(
        &cropper, planes, rows, format, colours, width: rect.width, height: rect.height, to: square, size, size)
      return
    }
    // These formats cannot be cropped at any pixel, so convert the whole picture to RGB first.
    let row = FrameConverter.rowBytes(frame.width)
    if full.count != row * frame.height { full = AlignedStorage(count: row * frame.height) }
    let data = unsafe picture.pointee.data
    let lines = unsafe picture.pointee.linesize
    try unsafe run(
      &whole, [UnsafePointer(data.0), UnsafePointer(data.1), UnsafePointer(data.2), UnsafePointer(data.3)],
      [lines.0, lines.1, lines.2, lines.3], format, Colours(picture), width: frame.width, height: frame.height,
      to: full, frame.width, frame.height)
    let corner = unsafe UnsafePointer(full.base + rect.y * row + rect.x * 3)
    try unsafe run(
      &cropper, [corner, nil, nil, nil], [Int32(row), 0, 0, 0], AV_PIX_FMT_RGB24, Colours(),
      width: rect.width, height: rect.height, to: square, size, size)
  }

  /// One pass of the scaler into RGB.
  private func run(
    _ scaler: inout OpaquePointer?, _ planes: [UnsafePointer<UInt8>?], _ rows: [Int32], _ format: AVPixelFormat,
    _ colours: Colours, width: Int, height: Int, to dst: AlignedStorage<UInt8>, _ dstWidth: Int, _ dstHeight: Int
  ) throws(VideoError) {
    unsafe scaler = sws_getCachedContext(
      scaler, Int32(width), Int32(height), format, Int32(dstWidth), Int32(dstHeight), AV_PIX_FMT_RGB24,
      FrameConverter.flags, nil, nil, nil)
    guard unsafe scaler != nil else {
      gateway.endIfWithoutMemory()
      throw gateway.error("scale", "the scaler refuses \(width)x\(height) pixels of this format")
    }
    let matrix = unsafe sws_getCoefficients(colours.matrix)
    // Fails only if neither side has a matrix to set.
    _ = unsafe sws_setColorspaceDetails(
      scaler, matrix, colours.isFullRange ? 1 : 0, sws_getCoefficients(SWS_CS_DEFAULT), 1, 0, 1 << 16, 1 << 16)
    var target: [UnsafeMutablePointer<UInt8>?] = unsafe [dst.base, nil, nil, nil]
    let targetRows = [Int32(FrameConverter.rowBytes(dstWidth)), 0, 0, 0]
    let done = unsafe sws_scale(scaler, planes, rows, 0, Int32(height), &target, targetRows)
    guard done == dstHeight else { throw gateway.error("scale", "the scaler gave \(done) of \(dstHeight) rows") }
  }
}

/// The colour space of a picture.
private struct Colours {
  /// One of libswscale's `SWS_CS_*`, numbered like `AVColorSpace`; BT.601 if the file does not say.
  var matrix = SWS_CS_DEFAULT
  /// Full range: black is 0, and white is the largest value.
  var isFullRange = false

  init() {}

  init(_ frame: UnsafeMutablePointer<AVFrame>) {
    matrix = Int32(truncatingIfNeeded: unsafe frame.pointee.colorspace.rawValue)
    let fullRange = [
      AV_PIX_FMT_YUVJ420P, AV_PIX_FMT_YUVJ422P, AV_PIX_FMT_YUVJ444P, AV_PIX_FMT_YUVJ440P, AV_PIX_FMT_YUVJ411P,
    ]
    isFullRange =
      unsafe frame.pointee.color_range == AVCOL_RANGE_JPEG
      || fullRange.contains(AVPixelFormat(unsafe frame.pointee.format))
  }
}
