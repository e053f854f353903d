// How a pixel format stores a picture, and how we read it.
import CFFmpeg

/// A pixel format's components, from FFmpeg's description of it.
struct PixelLayout: Hashable, Sendable {
  enum Kind: Hashable, Sendable {
    case grey
    case yuv
    case rgb
  }

  /// How samples reach the kernel.
  enum Access: Hashable, Sendable {
    /// Where the decoder put them.
    case direct
    /// Row by row through FFmpeg's `av_read_image_line2`, into planes of 16 bits: palettes, big-endian samples, samples
    /// that share bytes, and whatever has alpha, which must be applied before the picture is resized.
    case unpacked
    /// Through libswscale: what is no picture of samples in rows (Bayer), not linear in RGB (XYZ), or in floats.
    case scaler
  }

  struct Component: Hashable, Sendable {
    var plane: Int
    /// Bytes from a sample to the next, and to the first one.
    var step: Int
    var offset: Int
    /// The sample is the `depth` bits above the lowest `shift`.
    var shift: Int
    var depth: Int
    /// 16 bits, not 8, hold the sample.
    var isWide: Bool { shift + depth > 8 }
  }

  let kind: Kind
  let access: Access
  /// Y, U, V; R, G, B; or grey alone.
  let colours: [Component]
  let alpha: Component?
  /// 2^shift pixels share a chroma sample.
  let chromaShiftX: Int
  let chromaShiftY: Int
  let hasPalette: Bool

  /// - Returns: nil if FFmpeg does not know the format.
  init?(_ format: AVPixelFormat) {
    guard let descriptor = unsafe av_pix_fmt_desc_get(format) else { return nil }
    let flags = unsafe Int32(truncatingIfNeeded: descriptor.pointee.flags)
    func has(_ flag: Int32) -> Bool { flags & flag != 0 }
    let stored = unsafe [
      descriptor.pointee.comp.0, descriptor.pointee.comp.1, descriptor.pointee.comp.2, descriptor.pointee.comp.3,
    ]
    let components = stored.prefix(Int(unsafe descriptor.pointee.nb_components)).map {
      Component(
        plane: Int($0.plane), step: Int($0.step), offset: Int($0.offset), shift: Int($0.shift), depth: Int($0.depth))
    }
    chromaShiftX = unsafe Int(descriptor.pointee.log2_chroma_w)
    chromaShiftY = unsafe Int(descriptor.pointee.log2_chroma_h)
    hasPalette = has(AV_PIX_FMT_FLAG_PAL)
    if hasPalette {
      kind = .rgb
      access = .unpacked
      // A palette's entry is a 32-bit number 0xAARRGGBB: in memory, blue comes first.
      colours = (0..<3).map { Component(plane: 2 - $0, step: 1, offset: 0, shift: 0, depth: 8) }
      alpha = Component(plane: 3, step: 1, offset: 0, shift: 0, depth: 8)
      return
    }
    alpha = has(AV_PIX_FMT_FLAG_ALPHA) ? components.last : nil
    colours = Array(components.prefix(components.count - (alpha == nil ? 0 : 1)).prefix(3))
    kind = has(AV_PIX_FMT_FLAG_RGB) ? .rgb : colours.count == 1 ? .grey : .yuv
    let isForeign =
      has(AV_PIX_FMT_FLAG_BAYER | AV_PIX_FMT_FLAG_FLOAT | AV_PIX_FMT_FLAG_HWACCEL | AV_PIX_FMT_FLAG_BITSTREAM)
      || [AV_PIX_FMT_XYZ12LE, AV_PIX_FMT_XYZ12BE, AV_PIX_FMT_UYYVYY411].contains(format)
    if isForeign || colours.count != (kind == .grey ? 1 : 3) || components.contains(where: { $0.depth > 16 }) {
      access = .scaler
    } else if alpha != nil || has(AV_PIX_FMT_FLAG_BE) || !colours.allSatisfy(\.isWhole) {
      access = .unpacked
    } else {
      access = .direct
    }
  }
}

extension PixelLayout.Component {
  /// Whether the sample's bytes hold nothing else.
  fileprivate var isWhole: Bool {
    isWide ? shift == 0 || shift + depth == 16 : shift == 0 && depth == 8
  }
}
