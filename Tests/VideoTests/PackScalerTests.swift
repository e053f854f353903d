// What a pack stores of a picture, seen by the network, is what the picture itself would have shown.
import CFFmpeg
import Testing

@testable import Video

@Suite struct PackScalerTests {
  /// What the network sees of the whole picture, and how far the packed one is from it, in levels of 255.
  private func deviation(
    _ frame: SyntheticFrame, _ orientation: Orientation = Orientation(), shortSide: Int = 64
  ) throws -> (mean: Double, signed: Double) {
    let scaler = PackScaler(shortSide: shortSide, orientation, FFmpegGateway(path: "test"))
    let packed = try scaler.scale(frame.decoded)
    let turned = orientation.isTransposed
    let (width, height) = (frame.decoded.width, frame.decoded.height)
    let display = PictureSize(width: turned ? height : width, height: turned ? width : height)
    #expect(
      PictureSize(width: packed.width, height: packed.height) == PackScaler.size(of: display, shortSide: shortSide))
    let before = try seen(frame.decoded, display, orientation)
    let after = try seen(
      DecodedFrame(packed.frame), PictureSize(width: packed.width, height: packed.height), Orientation())
    let differences = zip(before, after).map { Double($1 - $0) * 0.226 * 255 }
    let count = Double(differences.count)
    return (differences.reduce(0) { $0 + abs($1) } / count, differences.reduce(0, +) / count)
  }

  private func seen(_ frame: DecodedFrame, _ display: PictureSize, _ orientation: Orientation) throws -> [Float] {
    var numbers = [Float](repeating: 0, count: 32 * 32 * 3)
    let plan = CropPlan(rect: PixelRect(x: 0, y: 0, width: display.width, height: display.height), flip: false)
    let converter = FrameConverter(size: 32, path: "test")
    try numbers.withUnsafeMutableBufferPointer { try converter.write(frame, plan, orientation, to: $0) }
    return numbers
  }

  @Test(
    "in every kind of pixel format: grey, YUV, deep, RGB, palettes, alpha, and what only libswscale knows",
    arguments: [
      AV_PIX_FMT_YUV420P, AV_PIX_FMT_YUVJ420P, AV_PIX_FMT_YUV422P, AV_PIX_FMT_YUV444P, AV_PIX_FMT_YUV410P,
      AV_PIX_FMT_YUV411P, AV_PIX_FMT_NV12, AV_PIX_FMT_YUYV422, AV_PIX_FMT_YUV420P10LE, AV_PIX_FMT_YUV444P12BE,
      AV_PIX_FMT_GRAY8, AV_PIX_FMT_GRAY16LE, AV_PIX_FMT_RGB24, AV_PIX_FMT_GBRP, AV_PIX_FMT_GBRP10LE, AV_PIX_FMT_PAL8,
      AV_PIX_FMT_RGBA, AV_PIX_FMT_YUVA420P, AV_PIX_FMT_YUVA444P10LE, AV_PIX_FMT_YA8, AV_PIX_FMT_BAYER_RGGB8,
    ])
  func formats(format: AVPixelFormat) throws {
    let found = try deviation(SyntheticFrame(format, width: 130, height: 100))
    #expect(found.mean < 3 && abs(found.signed) < 1, "\(String(cString: av_get_pix_fmt_name(format))): \(found)")
  }

  @Test("for each matrix and range", arguments: [AVCOL_SPC_UNSPECIFIED, AVCOL_SPC_BT709, AVCOL_SPC_BT2020_NCL])
  func colours(matrix: AVColorSpace) throws {
    for range in [AVCOL_RANGE_UNSPECIFIED, AVCOL_RANGE_MPEG, AVCOL_RANGE_JPEG] {
      for format in [AV_PIX_FMT_YUV420P, AV_PIX_FMT_YUVA420P] {
        let frame = try SyntheticFrame(format, width: 130, height: 100)
        (frame.pointer.pointee.colorspace, frame.pointer.pointee.color_range) = (matrix, range)
        let found = try deviation(frame)
        #expect(found.mean < 3 && abs(found.signed) < 1, "\(matrix) \(range) \(format): \(found)")
      }
    }
  }

  @Test("turned and mirrored as the file says", arguments: [false, true])
  func turned(isTransposed: Bool) throws {
    for (x, y) in [(false, false), (false, true), (true, false), (true, true)] {
      var orientation = Orientation()
      (orientation.isTransposed, orientation.mirrorsX, orientation.mirrorsY) = (isTransposed, x, y)
      for place in [AVCHROMA_LOC_LEFT, AVCHROMA_LOC_CENTER, AVCHROMA_LOC_TOPLEFT] {
        let frame = try SyntheticFrame(AV_PIX_FMT_YUV420P, width: 130, height: 100)
        frame.pointer.pointee.chroma_location = place
        let found = try deviation(frame, orientation)
        #expect(found.mean < 3 && abs(found.signed) < 1, "\(orientation), \(place): \(found)")
      }
    }
  }

  @Test("never enlarged, always even")
  func sizes() throws {
    for (from, to) in [
      ((1920, 1080), (456, 256)), ((1080, 1920), (256, 456)), ((340, 256), (340, 256)), ((321, 241), (320, 240)),
      ((256, 256), (256, 256)), ((257, 1000), (256, 996)), ((1, 9), (2, 8)),
    ] {
      let size = PackScaler.size(of: PictureSize(width: from.0, height: from.1), shortSide: 256)
      #expect(size == PictureSize(width: to.0, height: to.1))
    }
    let found = try deviation(SyntheticFrame(AV_PIX_FMT_YUV420P, width: 120, height: 90), shortSide: 256)
    #expect(found.mean == 0)
  }

  @Test("pictures that change their shape are refused, those that change their size are not")
  func shapes() throws {
    let scaler = PackScaler(shortSide: 64, Orientation(), FFmpegGateway(path: "test"))
    let frames = try [(128, 96), (160, 120), (96, 128)].map {
      try SyntheticFrame(AV_PIX_FMT_YUV420P, width: $0.0, height: $0.1)
    }
    for frame in frames[..<2] {
      let packed = try scaler.scale(frame.decoded)
      #expect((packed.width, packed.height) == (86, 64))
    }
    let error = #expect(throws: VideoError.self) { _ = try scaler.scale(frames[2].decoded) }
    #expect(error?.cause == "its pictures change their shape, from 128x96 to 96x128")
  }
}
