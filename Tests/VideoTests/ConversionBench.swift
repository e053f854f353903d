// How long a conversion takes beside libswscale's with the same filter. Run by Benchmarks/convert.
import CFFmpeg
import Foundation
import Shared
import Testing

@testable import Video

/// How many rounds the benchmark is to take; nil if it is not wanted.
private let wantedRounds = ProcessInfo.processInfo.environment["TAMRING_CONVERT_ROUNDS"].flatMap { Int($0) }

@Suite(.enabled(if: wantedRounds != nil, "TAMRING_CONVERT_ROUNDS is not set")) struct ConversionBench {
  /// libswscale as it converted clips before the kernel: without the normalisation that followed.
  private final class Scaler {
    private let context: OpaquePointer
    private var bytes: [UInt8]
    private let side: Int
    private let size: Int

    init(_ format: AVPixelFormat, _ side: Int, size: Int) throws {
      self.side = side
      self.size = size
      context = try #require(
        sws_getContext(
          Int32(side), Int32(side), format, Int32(size), Int32(size), AV_PIX_FMT_RGB24, AccurateScaler.flags, nil, nil,
          nil))
      bytes = [UInt8](repeating: 0, count: size * size * 3 + 64)
    }

    deinit { sws_freeContext(context) }

    func scale(_ frame: UnsafeMutablePointer<AVFrame>) {
      bytes.withUnsafeMutableBufferPointer { buffer in
        var target: [UnsafeMutablePointer<UInt8>?] = [buffer.baseAddress, nil, nil, nil]
        let data = [
          UnsafePointer(frame.pointee.data.0), UnsafePointer(frame.pointee.data.1), UnsafePointer(frame.pointee.data.2),
          nil,
        ]
        let lines = [frame.pointee.linesize.0, frame.pointee.linesize.1, frame.pointee.linesize.2, 0]
        // The picture's top left corner: a crop as good as any.
        sws_scale(context, data, lines, 0, Int32(side), &target, [Int32(size * 3), 0, 0, 0])
      }
    }
  }

  @Test("times of a picture, as JSON")
  func times() throws {
    for (format, width, height) in [
      (AV_PIX_FMT_YUV420P, 340, 256), (AV_PIX_FMT_YUV420P, 1920, 1080), (AV_PIX_FMT_YUV420P, 80, 64),
      (AV_PIX_FMT_YUV420P10LE, 1920, 1080), (AV_PIX_FMT_YUV444P, 340, 256), (AV_PIX_FMT_NV12, 1920, 1080),
      (AV_PIX_FMT_RGB24, 340, 256),
    ] {
      let frame = try SyntheticFrame(format, width: width, height: height)
      let side = min(width, height)
      for size in [224, 64] {
        let scaler = try Scaler(format, side, size: size)
        let converter = FrameConverter(size: size, path: "synthetic")
        let storage = FloatStorage(count: size * size * 3)
        let plan = CropPlan(rect: PixelRect(x: 0, y: 0, width: side, height: side), flip: false)
        func ours(_ times: Int) throws -> Double {
          try ContinuousClock().measure {
            for _ in 0..<times { try converter.write(frame.decoded, plan, Orientation(), to: storage.buffer) }
          } / .microseconds(times)
        }
        func theirs(_ times: Int) -> Double {
          ContinuousClock().measure { for _ in 0..<times { scaler.scale(frame.pointer) } } / .microseconds(times)
        }
        _ = (try ours(3), theirs(3))
        let times = max(3, Int(20_000 / theirs(3)))
        var pairs: [(Double, Double)] = []
        for _ in 0..<(wantedRounds ?? 1) { pairs.append((try ours(times), theirs(times))) }
        func median(_ values: [Double]) -> Double { values.sorted()[values.count / 2] }
        let (mine, other) = (median(pairs.map(\.0)), median(pairs.map(\.1)))
        let ratio = median(pairs.map { $1 / $0 })
        let shape = "\"format\": \"\(ConversionTests.name(format))\", \"picture\": \"\(width)x\(height)\""
        let figures = String(format: "\"ours_us\": %.1f, \"swscale_us\": %.1f, \"ratio\": %.2f", mine, other, ratio)
        print("{\(shape), \"crop\": \(side), \"to\": \(size), \(figures)}")
      }
    }
  }
}
