// Files that are cut off are refused alike, whatever their container; or taken as far as they go, if that is asked for.
import Foundation
import Shared
import Testing

@testable import Video

@Suite struct TruncationTests {
  struct Kind: CustomTestStringConvertible, Sendable {
    var container: String
    var encoder = "libx264"
    var muxer: [String: String] = [:]
    var testDescription: String { "\(container) \(encoder) \(muxer)" }
  }

  static let kinds = [
    Kind(container: "mp4"), Kind(container: "mp4", muxer: ["movflags": "faststart"]),
    Kind(container: "mp4", muxer: ["movflags": "frag_keyframe+empty_moov"]), Kind(container: "matroska"),
    Kind(container: "webm", encoder: "libvpx"), Kind(container: "matroska", muxer: ["live": "1"]),
    Kind(container: "avi", encoder: "mpeg4"), Kind(container: "mpegts"), Kind(container: "flv", encoder: "flv"),
    Kind(container: "ogg", encoder: "libtheora"), Kind(container: "mpeg", encoder: "mpeg2video"),
    Kind(container: "asf", encoder: "msmpeg4"),
  ]

  private func file(_ kind: Kind) throws -> Data {
    try ClipMaker(
      encoder: kind.encoder, container: kind.container, betweenPictures: kind.container == "mpegts" ? 2 : 0,
      muxer: kind.muxer
    ).make()
  }

  @Test("a whole file is taken, and one that is cut anywhere is refused as truncated", arguments: kinds)
  func cut(kind: Kind) throws {
    let whole = try file(kind)
    let frames = try withFile(whole) { try ClipProbe.probe($0, deep: true).frames }
    #expect(frames == 60)
    for percent in [15, 33, 50, 67, 80, 93, 99] {
      let part = whole.prefix(whole.count * percent / 100 | 1)
      try withFile(part) { path in
        let error = #expect(throws: VideoError.self, "\(percent) %") { try ClipProbe.probe(path, deep: false) }
        let cause = error?.cause ?? ""
        #expect(
          cause.contains("truncated") || cause.contains("incomplete") || cause.contains("damaged"),
          "\(percent) %: \(cause)")
      }
    }
  }

  @Test("a fragmented file that states its fragments is refused if it is cut exactly between two of them")
  func fragments() throws {
    let flags = "frag_keyframe+empty_moov+default_base_moof+global_sidx"
    let whole = [UInt8](try file(Kind(container: "mp4", muxer: ["movflags": flags])))
    #expect(try withFile(Data(whole)) { try ClipProbe.probe($0, deep: false).frames } == 60)
    var (place, starts, end) = (0, [Int](), whole.count)
    while place + 8 <= whole.count {
      if whole[place + 4..<place + 8].elementsEqual("moof".utf8) { starts.append(place) }
      // The table of fragments behind them belongs to none.
      if whole[place + 4..<place + 8].elementsEqual("mfra".utf8) { end = place }
      place += Int(Truncation.number(whole[place..<place + 4]))
    }
    #expect(starts.count == 5)
    for start in starts.dropFirst() {
      try withFile(Data(whole[..<start])) { path in
        let error = #expect(throws: VideoError.self) { try ClipProbe.probe(path, deep: false) }
        #expect(error?.cause.contains("its index has fragments up to byte \(end),") == true, "\(error?.cause ?? "")")
      }
    }
  }

  @Test("with acceptsTruncated a cut file is the shorter clip that is there", arguments: kinds)
  func accepted(kind: Kind) throws {
    // Without its index at the end, an MP4 has nothing.
    if kind.container == "mp4", kind.muxer.isEmpty { return }
    let whole = try file(kind)
    try withFile(whole.prefix(whole.count * 7 / 10 | 1)) { path in
      let clip = try ClipProbe.probe(path, deep: false, rules: VideoRules(acceptsTruncated: true))
      #expect((20..<58).contains(clip.frames), "\(clip.frames)")
    }
  }
}
