// The conversion kernel against libswscale's accurate conversion, format by format, and against itself.
import CFFmpeg
import CKernels
import Foundation
import Shared
import Testing

@testable import Video

@Suite struct ConversionTests {
  private static let size = 48
  private static let crop = PixelRect(x: 16, y: 8, width: 96, height: 80)

  /// Those that the kernel reads in place, those that are unpacked first, and those that libswscale converts first.
  static let formats: [AVPixelFormat] = [
    AV_PIX_FMT_YUV420P, AV_PIX_FMT_YUVJ420P, AV_PIX_FMT_YUV422P, AV_PIX_FMT_YUVJ422P, AV_PIX_FMT_YUV444P,
    AV_PIX_FMT_YUVJ444P, AV_PIX_FMT_YUV440P, AV_PIX_FMT_YUVJ440P, AV_PIX_FMT_YUV411P, AV_PIX_FMT_YUV410P,
    AV_PIX_FMT_YUV420P9LE, AV_PIX_FMT_YUV420P10LE, AV_PIX_FMT_YUV420P12LE, AV_PIX_FMT_YUV420P14LE,
    AV_PIX_FMT_YUV420P16LE, AV_PIX_FMT_YUV422P10LE, AV_PIX_FMT_YUV422P12LE, AV_PIX_FMT_YUV422P16LE,
    AV_PIX_FMT_YUV444P10LE, AV_PIX_FMT_YUV444P12LE, AV_PIX_FMT_YUV444P16LE, AV_PIX_FMT_YUV440P10LE,
    AV_PIX_FMT_NV12, AV_PIX_FMT_NV21, AV_PIX_FMT_NV16, AV_PIX_FMT_NV24, AV_PIX_FMT_NV42, AV_PIX_FMT_P010LE,
    AV_PIX_FMT_P016LE, AV_PIX_FMT_YUYV422, AV_PIX_FMT_UYVY422, AV_PIX_FMT_YVYU422,
    AV_PIX_FMT_GRAY8, AV_PIX_FMT_GRAY10LE, AV_PIX_FMT_GRAY12LE, AV_PIX_FMT_GRAY16LE,
    AV_PIX_FMT_RGB24, AV_PIX_FMT_BGR24, AV_PIX_FMT_RGB0, AV_PIX_FMT_0BGR, AV_PIX_FMT_RGB48LE, AV_PIX_FMT_BGR48LE,
    AV_PIX_FMT_GBRP, AV_PIX_FMT_GBRP10LE, AV_PIX_FMT_GBRP12LE, AV_PIX_FMT_GBRP16LE,
    AV_PIX_FMT_YUV420P10BE, AV_PIX_FMT_GRAY16BE, AV_PIX_FMT_RGB565LE, AV_PIX_FMT_BGR555LE, AV_PIX_FMT_X2RGB10LE,
    AV_PIX_FMT_PAL8,
    AV_PIX_FMT_RGBA, AV_PIX_FMT_BGRA, AV_PIX_FMT_ARGB, AV_PIX_FMT_ABGR, AV_PIX_FMT_RGBA64LE, AV_PIX_FMT_GBRAP,
    AV_PIX_FMT_GBRAP10LE, AV_PIX_FMT_YA8, AV_PIX_FMT_YA16LE, AV_PIX_FMT_YUVA420P, AV_PIX_FMT_YUVA422P,
    AV_PIX_FMT_YUVA444P, AV_PIX_FMT_YUVA420P10LE, AV_PIX_FMT_YUVA444P10LE, AV_PIX_FMT_YUVA444P16LE,
    AV_PIX_FMT_MONOWHITE, AV_PIX_FMT_MONOBLACK, AV_PIX_FMT_XYZ12LE, AV_PIX_FMT_BAYER_RGGB8, AV_PIX_FMT_GRAYF32LE,
    AV_PIX_FMT_GBRPF32LE,
  ]

  static func name(_ format: AVPixelFormat) -> String { av_get_pix_fmt_name(format).map { String(cString: $0) } ?? "?" }

  private func ours(
    _ frame: SyntheticFrame, _ plan: CropPlan, size: Int = size, _ orientation: Orientation = Orientation(),
    kernel: @escaping FrameConverter.Kernel = tamring_video_convert
  ) throws -> [Float] {
    let storage = FloatStorage(count: size * size * 3)
    let converter = FrameConverter(size: size, path: "synthetic", kernel: kernel)
    try converter.write(frame.decoded, plan, orientation, to: storage.buffer)
    return storage.array
  }

  /// Levels of 255 from normalised numbers.
  private func levels(_ numbers: [Float]) -> [Double] {
    let (means, deviations) = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    return numbers.enumerated().map { (Double($1) * deviations[$0 % 3] + means[$0 % 3]) * 255 }
  }

  private func deviation(_ numbers: [Float], _ bytes: [UInt8]) -> (mean: Double, signed: Double, largest: Double) {
    #expect(numbers.count == bytes.count)
    let differences = zip(levels(numbers), bytes).map { $0 - Double($1) }
    let count = Double(differences.count)
    return (
      differences.reduce(0) { $0 + abs($1) } / count, differences.reduce(0, +) / count,
      differences.map(abs).max() ?? 0
    )
  }

  private func text(_ found: (mean: Double, signed: Double, largest: Double)) -> String {
    String(format: "mean %.3f, signed %+.3f, largest %.2f levels", found.mean, found.signed, found.largest)
  }

  /// What libswscale makes of the crop as a picture of its own.
  private func reference(
    _ format: AVPixelFormat, _ crop: PixelRect, size: Int, _ set: (SyntheticFrame) -> Void = { _ in }
  )
    throws -> [UInt8]?
  {
    let part = try SyntheticFrame(format, width: crop.width, height: crop.height, origin: (crop.x, crop.y))
    set(part)
    let layout = try #require(PixelLayout(format))
    let colours = ColourRule(part.pointer, layout.kind)
    // libswscale ignores alpha when it scales; its accurate mode takes samples of five bits for eight whose last three
    // are 0, so that white is 248; what we leave to it, it converts without scaling.
    if layout.alpha != nil || layout.access == .scaler || layout.colours[0].depth < 8 {
      guard sws_isSupportedInput(format) != 0 else { return nil }
      let flat = try AccurateScaler.flat(
        part, colours: colours, isCoarse: layout.access != .scaler && layout.colours[0].depth < 8)
      return try AccurateScaler.rgb(flat, width: size, height: size, colours: ColourRule(flat.pointer, .rgb))
    }
    return try AccurateScaler.rgb(part, width: size, height: size, colours: colours)
  }

  @Test("at most one level from libswscale's accurate conversion in the mean, in each pixel format", arguments: formats)
  func deviations(format: AVPixelFormat) throws {
    let frame = try SyntheticFrame(format, width: 130, height: 100)
    for size in [Self.size, 112] {
      guard let bytes = try reference(format, Self.crop, size: size) else { return }
      let found = deviation(try ours(frame, CropPlan(rect: Self.crop, flip: false), size: size), bytes)
      print("deviation: \(Self.name(format)) to \(size): \(text(found))")
      #expect(found.mean <= 1, "\(Self.name(format)) to \(size): \(text(found))")
    }
  }

  @Test(
    "the same for each matrix, range and place of chroma",
    arguments: [
      AVCOL_SPC_UNSPECIFIED, AVCOL_SPC_BT709, AVCOL_SPC_FCC, AVCOL_SPC_BT470BG, AVCOL_SPC_SMPTE170M,
      AVCOL_SPC_SMPTE240M, AVCOL_SPC_BT2020_NCL,
    ], [AV_PIX_FMT_YUV420P, AV_PIX_FMT_YUV422P10LE])
  func colours(matrix: AVColorSpace, format: AVPixelFormat) throws {
    for range in [AVCOL_RANGE_UNSPECIFIED, AVCOL_RANGE_MPEG, AVCOL_RANGE_JPEG] {
      for place in [AVCHROMA_LOC_UNSPECIFIED, AVCHROMA_LOC_LEFT, AVCHROMA_LOC_CENTER, AVCHROMA_LOC_TOPLEFT] {
        func set(_ frame: SyntheticFrame) {
          frame.pointer.pointee.colorspace = matrix
          frame.pointer.pointee.color_range = range
          frame.pointer.pointee.chroma_location = place
        }
        let frame = try SyntheticFrame(format, width: 130, height: 100)
        set(frame)
        let bytes = try #require(try reference(format, Self.crop, size: Self.size, set))
        let found = deviation(try ours(frame, CropPlan(rect: Self.crop, flip: false)), bytes)
        #expect(
          found.mean <= 1, "matrix \(matrix.rawValue), range \(range.rawValue), place \(place.rawValue): \(text(found))"
        )
      }
    }
  }

  @Test("YCgCo, which libswscale does not know, by its formula")
  func ycgco() throws {
    let frame = try SyntheticFrame(AV_PIX_FMT_YUV444P, width: 16, height: 16)
    frame.pointer.pointee.colorspace = AVCOL_SPC_YCGCO
    frame.pointer.pointee.color_range = AVCOL_RANGE_JPEG
    let whole = CropPlan(rect: PixelRect(x: 0, y: 0, width: 16, height: 16), flip: false)
    let found = levels(try ours(frame, whole, size: 16))
    let planes = [frame.pointer.pointee.data.0, frame.pointer.pointee.data.1, frame.pointer.pointee.data.2]
    for y in 0..<16 {
      for x in 0..<16 {
        let place = y * Int(frame.pointer.pointee.linesize.0) + x
        let numbers = planes.map { Double($0?[place] ?? 0) }
        let (luma, green, orange) = (numbers[0], numbers[1] - 128, numbers[2] - 128)
        let expected: [Double] = [luma - green + orange, luma + green, luma - green - orange]
        for (c, value) in expected.enumerated() {
          let difference = found[3 * (16 * y + x) + c] - min(max(value, 0), 255)
          #expect(abs(difference) < 0.01)
        }
      }
    }
  }

  @Test("a picture that is scaled and then cropped is what libswscale scales, cropped")
  func scaledFirst() throws {
    let (size, width, height) = (32, 37 * 4 / 3, 37)
    let plan = CropPlan(
      rect: PixelRect(x: 9, y: 3, width: size, height: size), flip: false,
      scaled: PictureSize(width: width, height: height))
    let frame = try SyntheticFrame(AV_PIX_FMT_YUV420P, width: 124, height: 92)
    let layout = try #require(PixelLayout(AV_PIX_FMT_YUV420P))
    let whole = try #require(
      try AccurateScaler.rgb(frame, width: width, height: height, colours: ColourRule(frame.pointer, layout.kind)))
    let bytes = (3..<3 + size).flatMap { y -> [UInt8] in
      let start = 3 * (y * width + 9)
      return Array(whole[start..<start + 3 * size])
    }
    let found = deviation(try ours(frame, plan, size: size), bytes)
    #expect(found.mean <= 0.6, "\(text(found))")
  }

  @Test("equal bits in every variant of the kernel", arguments: formats)
  func variants(format: AVPixelFormat) throws {
    let frame = try SyntheticFrame(format, width: 61, height: 45)
    var turn = Orientation()
    (turn.isTransposed, turn.mirrorsX) = (true, true)
    for (size, crop, orientation) in [
      (16, PixelRect(x: 3, y: 5, width: 39, height: 33), Orientation()),
      (20, PixelRect(x: 0, y: 0, width: 7, height: 9), Orientation()),
      (19, PixelRect(x: 1, y: 2, width: 40, height: 50), turn),
    ] {
      let plan = CropPlan(rect: crop, flip: size == 20)
      let expected = try ours(frame, plan, size: size, orientation).map(\.bitPattern)
      let generic = try ours(frame, plan, size: size, orientation, kernel: tamring_video_convert_generic)
      #expect(generic.map(\.bitPattern) == expected, "\(Self.name(format)), generic, to \(size)")
      if String(cString: tamring_kernel_level()) != "default" {
        let avx2 = try ours(frame, plan, size: size, orientation, kernel: tamring_video_convert_avx2)
        #expect(avx2.map(\.bitPattern) == expected, "\(Self.name(format)), AVX2, to \(size)")
      }
    }
  }

  @Test("mirrors and quarter turns move pixels and change none")
  func orientations() throws {
    let frame = try SyntheticFrame(AV_PIX_FMT_YUV420P, width: 64, height: 48)
    let size = 24
    let stored = PixelRect(x: 6, y: 4, width: 40, height: 30)
    let plain = try ours(frame, CropPlan(rect: stored, flip: false), size: size)
    for isTransposed in [false, true] {
      for mirrorsX in [false, true] {
        for mirrorsY in [false, true] {
          for flip in [false, true] {
            var orientation = Orientation()
            (orientation.isTransposed, orientation.mirrorsX, orientation.mirrorsY) = (isTransposed, mirrorsX, mirrorsY)
            // The rectangle that the display shows is found by turning the stored one back.
            var rect = isTransposed ? PixelRect(x: 4, y: 6, width: 30, height: 40) : stored
            let (width, height) = isTransposed ? (48, 64) : (64, 48)
            if mirrorsX { rect.x = width - rect.x - rect.width }
            if mirrorsY { rect.y = height - rect.y - rect.height }
            let turned = try ours(frame, CropPlan(rect: rect, flip: flip), size: size, orientation)
            for y in 0..<size {
              for x in 0..<size {
                let (u, v) = (mirrorsX != flip ? size - 1 - x : x, mirrorsY ? size - 1 - y : y)
                let (column, row) = isTransposed ? (v, u) : (u, v)
                let (here, there) = (3 * (y * size + x), 3 * (row * size + column))
                #expect(turned[here..<here + 3] == plain[there..<there + 3])
              }
            }
          }
        }
      }
    }
  }

  @Test("nothing outside the picture is read", arguments: [1, 2, 15, 16, 17, 33])
  func bounds(width: Int) throws {
    let height = 5
    let page = 4096
    let memory = try #require(
      mmap(nil, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0))
    defer { munmap(memory, 2 * page) }
    #expect(mprotect(memory + page, page, PROT_NONE) == 0)
    for format in [AV_PIX_FMT_GRAY8, AV_PIX_FMT_GRAY16LE, AV_PIX_FMT_RGB24] {
      let row = width * (format == AV_PIX_FMT_GRAY8 ? 1 : format == AV_PIX_FMT_RGB24 ? 3 : 2)
      let frame = try #require(av_frame_alloc())
      defer {
        var frame: UnsafeMutablePointer<AVFrame>? = frame
        av_frame_free(&frame)
      }
      frame.pointee.format = format.rawValue
      (frame.pointee.width, frame.pointee.height) = (Int32(width), Int32(height))
      frame.pointee.data.0 = (memory + page - row * height).assumingMemoryBound(to: UInt8.self)
      frame.pointee.linesize.0 = Int32(row)
      for size in [16, 40] {
        let storage = FloatStorage(count: size * size * 3)
        try FrameConverter(size: size, path: "").write(
          DecodedFrame(frame), CropPlan(rect: PixelRect(x: 0, y: 0, width: width, height: height), flip: false),
          Orientation(), to: storage.buffer)
      }
    }
  }
}

@Suite struct ResizeFilterTests {
  private func axis(_ picture: Int, _ start: Int, _ length: Int) -> ResizeAxis {
    ResizeAxis(picture: picture, scaled: picture, start: start, length: length, seesBeyond: false, isReversed: false)
  }

  @Test("weights sum to 1, and come from the shown samples alone", arguments: [16, 56, 224], [0, 1, 2])
  func sums(results: Int, shift: Int) {
    for (picture, start, length) in [(340, 20, 256), (64, 0, 64), (65, 64, 1), (1920, 421, 1080), (7, 2, 4)] {
      for siting in [ChromaSiting.first, .between, .last] {
        let filter = ResizeFilter(axis(picture, start, length), results: results, shift: shift, siting: siting)
        #expect(filter.samples.lowerBound >= start >> shift)
        #expect(filter.samples.upperBound <= (start + length - 1) >> shift + 1)
        for result in 0..<results {
          let weights = filter.weights.array(result * filter.taps..<(result + 1) * filter.taps)
          #expect(abs(weights.reduce(0, +) - 1) < 1e-6 && weights.allSatisfy { $0 >= 0 })
          #expect(filter.first[result] >= 0 && Int(filter.first[result]) + filter.taps <= filter.samples.count)
        }
      }
    }
  }

  @Test("an unchanged size takes each sample as it is; halving takes (1, 3, 3, 1)/8")
  func known() {
    let same = ResizeFilter(axis(100, 10, 32), results: 32)
    #expect(same.taps == 1 && same.weights.array == [Float](repeating: 1, count: 32))
    #expect(same.samples == 10..<42 && same.first.array == (0..<32).map { Int32($0) })
    let half = ResizeFilter(axis(64, 0, 64), results: 32)
    #expect(half.taps == 4 && half.weights.array(40..<44) == [0.125, 0.375, 0.375, 0.125])
    // At the border, the sample that is missing is replaced by its neighbour.
    #expect(half.weights.array(0..<4) == [0.5, 0.375, 0.125, 0])
  }

  @Test("chroma beside the first of its pixels is a quarter of a sample away from chroma between them")
  func siting() {
    // Two results a sample, at ±¼ of it, for chroma between the pixels; at 0 and ½ for chroma at the first.
    let between = ResizeFilter(axis(64, 0, 64), results: 64, shift: 1, siting: .between)
    #expect(between.weights.array(40..<44) == [0.25, 0.75, 0.75, 0.25])
    let first = ResizeFilter(axis(64, 0, 64), results: 64, shift: 1, siting: .first)
    #expect(first.weights.array(40..<44) == [1, 0, 0.5, 0.5])
  }
}
