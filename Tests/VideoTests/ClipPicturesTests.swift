import CFFmpeg
import Foundation
import Testing

@testable import DemoData
@testable import Video

@Suite struct ClipPicturesTests {
  private func path(_ name: String) -> String {
    URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .appendingPathComponent("Fixtures/clips/\(name)").path
  }

  @Test("frames of a clip become JPEG files of the wanted height", arguments: ["h264.mp4", "mpeg4.mp4", "vp9.mp4"])
  func pictures(name: String) throws {
    let pictures = try ClipPictures(path(name), first: 0, frames: DemoClip.frameCount, count: 4, height: 48)
    #expect(pictures.jpegs.count == 4 && pictures.rotation == 0)
    for jpeg in pictures.jpegs {
      #expect(jpeg.starts(with: [0xFF, 0xD8]) && jpeg.suffix(2) == Data([0xFF, 0xD9]) && jpeg.count > 200)
      let size = try #require(frameSize(jpeg))
      #expect(size.height == 48 && size.width == 48)
    }
    #expect(Set(pictures.jpegs).count > 1)
    #expect(try ClipPictures(path(name), first: 3, frames: 2, count: 4, height: 48).jpegs.count == 2)
    #expect(try ClipPictures(path(name), first: 9999, frames: 2, count: 4, height: 48).jpegs.isEmpty)
  }

  @Test("a file that is no video gives an error")
  func noVideo() {
    #expect(throws: VideoError.self) { try ClipPictures(#filePath, first: 0, frames: 1, count: 1, height: 48) }
  }

  /// From the JPEG's frame header (SOF0).
  private func frameSize(_ jpeg: Data) -> (width: Int, height: Int)? {
    guard let marker = jpeg.firstRange(of: Data([0xFF, 0xC0])) else { return nil }
    let bytes = Array(jpeg[marker.upperBound...].prefix(7))
    return (Int(bytes[5]) << 8 | Int(bytes[6]), Int(bytes[3]) << 8 | Int(bytes[4]))
  }
}
