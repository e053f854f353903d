// Frames are found by entering a file at its key frames only where that gives what decoding everything gives.
import CFFmpeg
import Foundation
import Shared
import Testing

@testable import Video

@Suite struct AccessProofTests {
  struct Kind: CustomTestStringConvertible, Sendable {
    var maker: ClipMaker
    var testDescription: String { "\(maker.encoder) in \(maker.container)" }
  }

  static let kinds: [Kind] = [
    ClipMaker(), ClipMaker(betweenPictures: 0), ClipMaker(container: "matroska"), ClipMaker(container: "mpegts"),
    ClipMaker(encoder: "libx265", options: ["x265-params": "log-level=none:pools=none"]),
    ClipMaker(encoder: "mpeg4"), ClipMaker(encoder: "mpeg4", container: "avi", betweenPictures: 0),
    ClipMaker(encoder: "mpeg2video", container: "mpeg"), ClipMaker(encoder: "libvpx", container: "webm"),
    ClipMaker(encoder: "libvpx-vp9", container: "webm", options: ["auto-alt-ref": "1", "lag-in-frames": "16"]),
    ClipMaker(encoder: "mjpeg", container: "avi", format: AV_PIX_FMT_YUVJ420P),
    ClipMaker(encoder: "ffv1", container: "matroska"), ClipMaker(encoder: "libtheora", container: "ogg"),
    ClipMaker(options: ["x264-params": "open-gop=1"]),
    ClipMaker(options: ["x264-params": "bframes=5:b-pyramid=normal"]),
    ClipMaker(options: ["x264-params": "intra-refresh=1"]),
  ].map(Kind.init)

  /// Whether each frame that is tried is the right one, found by itself and together with others.
  private func expectRight(_ path: String, deep: Bool, _ comment: Comment) throws -> ProbedClip {
    let truth = try #require(ReferenceDecoder.digests(path))
    let clip = try ClipProbe.probe(path, deep: deep)
    #expect(clip.frames == truth.count, comment)
    try expectExact(path, clip, truth)
    return clip
  }

  @Test("frames found by themselves and together are those of decoding everything, for many codecs", arguments: kinds)
  func codecs(kind: Kind) throws {
    try withFile(try kind.maker.make()) { path in
      for deep in [false, true] { _ = try expectRight(path, deep: deep, "deep: \(deep)") }
    }
  }

  @Test("ordinary H.264 and VP9 are proved by their headers, as decoding would prove them")
  func headers() throws {
    for maker in [
      ClipMaker(), ClipMaker(betweenPictures: 0), ClipMaker(container: "matroska"),
      ClipMaker(encoder: "libvpx-vp9", container: "webm"),
    ] {
      try withFile(try maker.make()) { path in
        let video = try VideoFile(path: path)
        let isGiven = try BitstreamProof.isGiven(video.demuxer.parameters, video.packets)
        #expect(isGiven, "\(maker.encoder) in \(maker.container)")
        try video.prove(deep: true)
        #expect(video.isProved, "\(video.doubt ?? "")")
      }
    }
  }

  @Test("timestamps that are those of decoding order no frames, and the file is decoded from its beginning")
  func decodingTimes() throws {
    try withFile(try ClipMaker(losesOrder: true).make()) { path in
      let clip = try expectRight(path, deep: false, "times of decoding")
      #expect(!clip.isProved && clip.doubt?.contains("order") == true, "\(clip.doubt ?? "")")
    }
  }

  @Test("a file that calls every packet a key frame is not entered where there is none")
  func everyPacketAKey() throws {
    for encoder in ["mpeg4", "libx264"] {
      var bytes = try ClipMaker(encoder: encoder).make()
      // Without the table of key frames, an MP4 says that all are.
      let table = try #require(bytes.range(of: Data("stss".utf8)))
      bytes.replaceSubrange(table, with: Data("free".utf8))
      try withFile(bytes) { path in
        let clip = try expectRight(path, deep: false, "without stss")
        #expect(clip.isProved == (encoder == "libx264"), "\(clip.doubt ?? "")")
      }
    }
  }
}
