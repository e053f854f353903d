// A part of a picture as planes of 16-bit samples, for formats that the kernel cannot read in place. Alpha is applied.
import CFFmpeg
import CKernels
import Shared

/// Owns the planes. It belongs to one thread.
final class UnpackedPicture {
  private var planes: [AlignedStorage<UInt16>] = []
  private var alpha = AlignedStorage<UInt16>(count: 0)
  private let layout: PixelLayout
  private let colours: ColourRule

  init(_ layout: PixelLayout, _ colours: ColourRule) {
    self.layout = layout
    self.colours = colours
  }

  /// What one step of a component adds to its number.
  static func scale(_ layout: PixelLayout, depth: Int) -> Double { layout.alpha == nil ? 1 : Double(1 << (16 - depth)) }

  /// Reads the samples in `parts`, one for each component.
  /// - Returns: the planes, rows without gaps.
  /// - Throws: `VideoError` for a picture that lacks a plane.
  func read(
    _ frame: DecodedFrame, _ parts: [PlanePart], as format: AVPixelFormat, _ gateway: FFmpegGateway
  ) throws(VideoError) -> [AlignedStorage<UInt16>] {
    guard let descriptor = unsafe av_pix_fmt_desc_get(format) else {
      throw gateway.error("convert", "an unknown pixel format")
    }
    if planes.isEmpty { planes = parts.map { AlignedStorage(count: $0.count) } }
    for (component, part) in parts.enumerated() {
      try unsafe unpack(frame, component, layout.colours[component], part, descriptor, to: planes[component], gateway)
    }
    guard let transparency = layout.alpha else { return planes }
    let shown = parts[0]
    if alpha.count != shown.count { alpha = AlignedStorage(count: shown.count) }
    try unsafe unpack(frame, layout.colours.count, transparency, shown, descriptor, to: alpha, gateway)
    // A palette whose every entry is transparent has no alpha: its fourth bytes were left blank.
    if layout.hasPalette, unsafe alpha.buffer.allSatisfy({ $0 == 0 }) { unsafe alpha.buffer.update(repeating: 255) }
    for (component, part) in parts.enumerated() {
      let depth = layout.colours[component].depth
      let isChroma = layout.kind == .yuv && component > 0
      let (shiftX, shiftY) = isChroma ? (layout.chromaShiftX, layout.chromaShiftY) : (0, 0)
      var rule = tamring_video_alpha(
        columns: Int64(part.columns.count), rows: Int64(part.rows.count), alpha_columns: Int64(shown.columns.count),
        alpha_rows: Int64(shown.rows.count), shift_x: Int64(shiftX), shift_y: Int64(shiftY),
        skip_x: Int64(shown.columns.lowerBound - part.columns.lowerBound << shiftX),
        skip_y: Int64(shown.rows.lowerBound - part.rows.lowerBound << shiftY),
        black: Float(colours.extent(layout.kind, component: component, depth: depth).zero),
        opaque: Float((1 << transparency.depth) - 1), scale: Float(1 << (16 - depth)))
      unsafe tamring_video_over_black(&rule, alpha.base, planes[component].base)
    }
    return planes
  }

  private func unpack(
    _ frame: DecodedFrame, _ index: Int, _ component: PixelLayout.Component, _ part: PlanePart,
    _ descriptor: UnsafePointer<AVPixFmtDescriptor>, to plane: AlignedStorage<UInt16>, _ gateway: FFmpegGateway
  ) throws(VideoError) {
    let picture = unsafe frame.pointer
    var data = unsafe [
      UnsafePointer(picture.pointee.data.0), UnsafePointer(picture.pointee.data.1),
      UnsafePointer(picture.pointee.data.2), UnsafePointer(picture.pointee.data.3),
    ]
    let lines = unsafe [
      picture.pointee.linesize.0, picture.pointee.linesize.1, picture.pointee.linesize.2, picture.pointee.linesize.3,
    ]
    let needed = layout.hasPalette ? 1 : component.plane
    guard unsafe data[needed] != nil else { throw gateway.error("convert", "a picture without its plane \(needed)") }
    for (number, row) in part.rows.enumerated() {
      unsafe av_read_image_line2(
        plane.base + number * part.columns.count, &data, lines, descriptor, Int32(part.columns.lowerBound),
        Int32(row), layout.hasPalette ? 0 : Int32(index), Int32(part.columns.count), 0, 2)
    }
    if layout.hasPalette {
      unsafe tamring_video_look_up(data[1], Int64(component.plane), Int64(plane.count), plane.base)
    }
  }
}

/// The samples of one plane that a conversion reads.
struct PlanePart: Hashable, Sendable {
  var columns: Range<Int>
  var rows: Range<Int>

  var count: Int { columns.count * rows.count }
}
