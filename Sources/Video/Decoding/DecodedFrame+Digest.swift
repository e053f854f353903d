// A digest of a picture, by which two ways of decoding it are compared.
import CFFmpeg
import Shared

extension DecodedFrame {
  /// XXH3-128 of the visible part of all planes, with format and size.
  func digest() -> Digest128 {
    let picture = unsafe pointer.pointee
    let digest = Digest128Stream()
    let facts = unsafe [Int64(picture.format), Int64(picture.width), Int64(picture.height)]
    unsafe facts.withUnsafeBytes { unsafe digest.update($0) }
    let format = unsafe AVPixelFormat(picture.format)
    guard let descriptor = unsafe av_pix_fmt_desc_get(format) else { return digest.finish() }
    let planes = unsafe [picture.data.0, picture.data.1, picture.data.2, picture.data.3]
    let rows = unsafe [picture.linesize.0, picture.linesize.1, picture.linesize.2, picture.linesize.3]
    let hasPalette = unsafe descriptor.pointee.flags & UInt64(AV_PIX_FMT_FLAG_PAL) != 0
    for plane in 0..<4 {
      guard let base = unsafe planes[plane] else { continue }
      if plane == 1, hasPalette {
        unsafe digest.update(UnsafeRawBufferPointer(start: base, count: 1024))
        continue
      }
      let bytes = unsafe av_image_get_linesize(format, picture.width, Int32(plane))
      guard bytes > 0 else { continue }
      let isChroma = plane == 1 || plane == 2
      let shift = isChroma ? Int32(unsafe descriptor.pointee.log2_chroma_h) : 0
      // The height of a chroma plane is rounded up.
      let height = unsafe -((-picture.height) >> shift)
      for row in 0..<Int(height) {
        let start = unsafe base + row * Int(rows[plane])
        unsafe digest.update(UnsafeRawBufferPointer(start: start, count: Int(bytes)))
      }
    }
    return digest.finish()
  }
}
