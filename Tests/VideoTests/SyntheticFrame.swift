// Pictures that tests draw in any pixel format.
import CFFmpeg
import Foundation
import Testing

@testable import Video

/// A frame of FFmpeg's whose samples are functions of their place: waves, edges, and a little noise.
final class SyntheticFrame {
  let pointer: UnsafeMutablePointer<AVFrame>
  let format: AVPixelFormat

  var decoded: DecodedFrame { DecodedFrame(pointer) }

  /// - Parameter origin: the place of the first pixel, which chroma samples must not straddle. So a part of a picture
  ///   is a picture.
  init(_ format: AVPixelFormat, width: Int, height: Int, origin: (x: Int, y: Int) = (0, 0)) throws {
    self.format = format
    pointer = try #require(av_frame_alloc())
    pointer.pointee.format = format.rawValue
    (pointer.pointee.width, pointer.pointee.height) = (Int32(width), Int32(height))
    #expect(av_frame_get_buffer(pointer, 0) == 0)
    for buffer in [pointer.pointee.buf.0, pointer.pointee.buf.1, pointer.pointee.buf.2, pointer.pointee.buf.3] {
      if let buffer { memset(buffer.pointee.data, 0, buffer.pointee.size) }
    }
    let descriptor = try #require(av_pix_fmt_desc_get(format))
    let components = withUnsafeBytes(of: descriptor.pointee.comp) {
      Array($0.bindMemory(to: AVComponentDescriptor.self))
    }
    var data = [pointer.pointee.data.0, pointer.pointee.data.1, pointer.pointee.data.2, pointer.pointee.data.3]
    let lines = [
      pointer.pointee.linesize.0, pointer.pointee.linesize.1, pointer.pointee.linesize.2, pointer.pointee.linesize.3,
    ]
    let isRGB = descriptor.pointee.flags & UInt64(AV_PIX_FMT_FLAG_RGB) != 0
    let hasAlpha = descriptor.pointee.flags & UInt64(AV_PIX_FMT_FLAG_ALPHA) != 0
    let count = Int(descriptor.pointee.nb_components)
    for component in 0..<count {
      let isChroma = !isRGB && count > 2 && (component == 1 || component == 2)
      let (shiftX, shiftY) =
        isChroma ? (Int(descriptor.pointee.log2_chroma_w), Int(descriptor.pointee.log2_chroma_h)) : (0, 0)
      let columns = (width + (1 << shiftX) - 1) >> shiftX
      let rows = (height + (1 << shiftY) - 1) >> shiftY
      let largest = Double((1 << Int(components[component].depth)) - 1)
      let isAlpha = hasAlpha && component == count - 1
      for row in 0..<rows {
        let values = (0..<columns).map { column in
          Self.value(
            component, (origin.x >> shiftX + column) << shiftX, (origin.y >> shiftY + row) << shiftY,
            isChroma: isChroma, isAlpha: isAlpha)
        }
        if components[component].depth == 32, let plane = data[Int(components[component].plane)] {
          let start = UnsafeMutableRawPointer(plane + row * Int(lines[Int(components[component].plane)]))
          for (x, value) in values.enumerated() {
            start.storeBytes(of: Float(value), toByteOffset: 4 * x, as: Float.self)
          }
          continue
        }
        let line = values.map { UInt16(($0 * largest).rounded()) }
        av_write_image_line2(line, &data, lines, descriptor, 0, Int32(row), Int32(component), Int32(columns), 2)
      }
    }
    if format == AV_PIX_FMT_PAL8, let palette = pointer.pointee.data.1 {
      for entry in 0..<256 {
        let colour = UInt32(entry * 7 & 255) << 16 | UInt32(entry * 3 & 255) << 8 | UInt32(255 - entry)
        UnsafeMutableRawPointer(palette).storeBytes(of: 0xFF00_0000 | colour, toByteOffset: 4 * entry, as: UInt32.self)
      }
    }
  }

  deinit {
    var frame: UnsafeMutablePointer<AVFrame>? = pointer
    av_frame_free(&frame)
  }

  private static func value(_ component: Int, _ x: Int, _ y: Int, isChroma: Bool, isAlpha: Bool) -> Double {
    let (u, v, c) = (Double(x), Double(y), Double(component))
    let wave = sin(u * 0.11 + c * 1.3) * cos(v * 0.07 + c)
    if isAlpha { return 0.5 + 0.5 * sin(u * 0.05 + v * 0.03) }
    if isChroma { return ((x / 24 + y / 16) % 2 == 0 ? 0.5 : 0.46) + 0.12 * wave }
    let noise = Double((x * 7919 + y * 104_729 + component * 31) % 97) / 97 - 0.5
    return 0.5 + 0.25 * wave + ((x / 9 + y / 7) % 2 == 0 ? 0.08 : -0.08) + 0.06 * noise
  }
}

/// libswscale's accurate conversion of a whole picture.
enum AccurateScaler {
  static let flags = SWS_BILINEAR | SWS_BITEXACT | SWS_ACCURATE_RND | SWS_FULL_CHR_H_INT | SWS_FULL_CHR_H_INP

  /// - Returns: rows of R, G, B bytes; nil if libswscale cannot read the format.
  static func rgb(_ frame: SyntheticFrame, width: Int, height: Int, colours: ColourRule) throws -> [UInt8]? {
    guard sws_isSupportedInput(frame.format) != 0 else { return nil }
    return try convert(frame.pointer, width, height, AV_PIX_FMT_RGB24, bytes: 3, colours: colours)
  }

  static func convert(
    _ frame: UnsafeMutablePointer<AVFrame>, _ width: Int, _ height: Int, _ format: AVPixelFormat, bytes: Int,
    colours: ColourRule, flags: Int32 = flags
  ) throws -> [UInt8] {
    let scaler = try #require(sws_alloc_context())
    defer { sws_freeContext(scaler) }
    let context = UnsafeMutableRawPointer(scaler)
    let descriptor = try #require(av_pix_fmt_desc_get(AVPixelFormat(frame.pointee.format)))
    // In 1/256 of a pixel, from where the sample would be without sharing.
    func position(_ siting: ChromaSiting, _ shift: UInt8) -> Int64 {
      switch siting {
      case .first: 0
      case .between: 128 << Int64(shift) - 128
      case .last: 256 << Int64(shift) - 256
      }
    }
    for (name, value) in [
      ("srcw", Int64(frame.pointee.width)), ("srch", Int64(frame.pointee.height)),
      ("src_format", Int64(frame.pointee.format)), ("dstw", Int64(width)), ("dsth", Int64(height)),
      ("dst_format", Int64(format.rawValue)), ("sws_flags", Int64(flags)),
      ("src_h_chr_pos", position(colours.acrossSiting, descriptor.pointee.log2_chroma_w)),
      ("src_v_chr_pos", position(colours.downSiting, descriptor.pointee.log2_chroma_h)),
    ] {
      _ = av_opt_set_int(context, name, value, 0)
    }
    #expect(sws_init_context(scaler, nil, nil) >= 0)
    let matrix = sws_getCoefficients(Int32(colours.matrix))
    _ = sws_setColorspaceDetails(
      scaler, matrix, colours.isFullRange ? 1 : 0, sws_getCoefficients(SWS_CS_DEFAULT), 1, 0, 1 << 16, 1 << 16)
    let row = (width * bytes + 63) & ~63
    var result = [UInt8](repeating: 0, count: row * height)
    result.withUnsafeMutableBufferPointer { buffer in
      var target: [UnsafeMutablePointer<UInt8>?] = [buffer.baseAddress, nil, nil, nil]
      let data = [
        UnsafePointer(frame.pointee.data.0), UnsafePointer(frame.pointee.data.1), UnsafePointer(frame.pointee.data.2),
        UnsafePointer(frame.pointee.data.3),
      ]
      let lines = [
        frame.pointee.linesize.0, frame.pointee.linesize.1, frame.pointee.linesize.2, frame.pointee.linesize.3,
      ]
      #expect(sws_scale(scaler, data, lines, 0, frame.pointee.height, &target, [Int32(row), 0, 0, 0]) == height)
    }
    return (0..<height).flatMap { Array(result[$0 * row..<$0 * row + width * bytes]) }
  }

  /// The picture over black, in its own size, in RGB24.
  static func flat(_ frame: SyntheticFrame, colours: ColourRule, isCoarse: Bool) throws -> SyntheticFrame {
    let (width, height) = (Int(frame.pointer.pointee.width), Int(frame.pointer.pointee.height))
    let pixels = try convert(
      frame.pointer, width, height, AV_PIX_FMT_RGBA, bytes: 4, colours: colours, flags: isCoarse ? SWS_POINT : flags)
    let result = try SyntheticFrame(AV_PIX_FMT_RGB24, width: width, height: height)
    let start = try #require(result.pointer.pointee.data.0)
    let row = Int(result.pointer.pointee.linesize.0)
    for y in 0..<height {
      for x in 0..<width {
        let pixel = pixels[(y * width + x) * 4..<(y * width + x) * 4 + 4]
        let (first, alpha) = (pixel.startIndex, Int(pixel[pixel.startIndex + 3]))
        for c in 0..<3 { start[y * row + 3 * x + c] = UInt8((Int(pixel[first + c]) * alpha * 2 + 255) / 510) }
      }
    }
    return result
  }
}
