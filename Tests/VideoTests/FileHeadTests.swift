// What the index knows of a file's head spares guessing, and changes nothing.
import CFFmpeg
import Foundation
import Shared
import Testing

@testable import Video

@Suite struct FileHeadTests {
  @Test("ordinary files in MP4, Matroska, WebM and AVI have a head that the index can know")
  func known() throws {
    for (maker, container) in [
      (ClipMaker(), FileHead.Container.mov), (ClipMaker(container: "matroska"), .matroska),
      (ClipMaker(encoder: "libvpx-vp9", container: "webm"), .matroska),
      (ClipMaker(encoder: "mjpeg", container: "avi", format: AV_PIX_FMT_YUVJ420P), .avi),
      (ClipMaker(encoder: "libx265", options: ["x265-params": "log-level=none:pools=none"]), .mov),
    ] {
      try withFile(try maker.make()) { path in
        let clip = try ClipProbe.probe(path, deep: false)
        #expect(clip.head?.container == container, "\(maker.encoder) in \(maker.container)")
        let (full, short) = (try VideoFile(path: path), try VideoFile(path: path, head: clip.head))
        #expect(full.packets.index.packets == short.packets.index.packets)
        #expect(try digests(full) == digests(short))
      }
    }
  }

  @Test("a container without a head of its own has none")
  func unknown() throws {
    for maker in [
      ClipMaker(container: "mpegts"), ClipMaker(encoder: "mpeg2video", container: "mpeg"),
      ClipMaker(encoder: "libtheora", container: "ogg"),
    ] {
      try withFile(try maker.make()) { path in
        let clip = try ClipProbe.probe(path, deep: false)
        #expect(clip.head == nil, "\(maker.container)")
      }
    }
  }

  @Test("a file whose head lacks what the decoder is told has none")
  func incomplete() throws {
    // The configuration of MPEG-4 is in the first packet of an AVI file.
    try withFile(try ClipMaker(encoder: "mpeg4", container: "avi", betweenPictures: 0).make()) { path in
      let clip = try ClipProbe.probe(path, deep: false)
      #expect(clip.isProved && clip.head == nil)
    }
  }

  @Test("a file of another kind is not opened by a head")
  func other() throws {
    try withFile(try ClipMaker(container: "matroska").make()) { path in
      let wrong = try #require(FileHead(container: "avi", delay: 0))
      #expect(throws: VideoError.self) { try VideoFile(path: path, head: wrong) }
    }
  }

  @Test("the index's code of a head gives the same head, and no other code gives one")
  func codes() {
    var known = 0
    for code in UInt8.min...UInt8.max {
      guard let head = FileHead(code: code) else { continue }
      known += 1
      #expect(head.code == code)
    }
    #expect(known == 3 * 17 && FileHead(code: 0) == nil)
    for delay in [Int32(-1), 17, .max] { #expect(FileHead(container: "matroska,webm", delay: delay) == nil) }
    #expect(FileHead(container: "movie", delay: 0) == nil)
  }

  private func digests(_ video: VideoFile) throws -> [Digest128] {
    var digests: [Digest128] = []
    _ = try video.decodeEveryFrame { digests.append($1.digest()) }
    return digests
  }
}
