// Of a long video, a clip is read without what lies before and behind it, and gives the same numbers.
import CFFmpeg
import Foundation
import Shared
import Testing

@testable import Video

@Suite struct EntryTableTests {
  struct Kind: CustomTestStringConvertible, Sendable {
    var maker: ClipMaker
    /// Whether it has entry points. In open groups of H.264, only the first picture is one.
    var isEntered: Bool { maker.options["x264-params"] == nil }
    var testDescription: String { "\(maker.encoder) in \(maker.container)" }
  }

  private static func long(_ encoder: String, _ container: String, _ options: [String: String] = [:]) -> Kind {
    Kind(
      maker: ClipMaker(
        encoder: encoder, container: container, frames: 1100, width: 48, height: 48, group: 20, options: options,
        format: encoder == "mjpeg" ? AV_PIX_FMT_YUVJ420P : AV_PIX_FMT_YUV420P))
  }
  static let kinds = [
    long("libx264", "mp4"), long("libx264", "matroska"), long("libx264", "mpegts"), long("mpeg4", "mp4"),
    long("mpeg2video", "matroska"), long("libvpx", "webm", ["deadline": "realtime", "cpu-used": "8"]),
    long("mjpeg", "avi"), long("libx264", "mp4", ["x264-params": "open-gop=1"]),
  ]

  private func load(_ loader: ClipLoader, _ path: String, _ clip: ProbedClip, _ first: Int) throws -> [Float] {
    let form = ClipForm(frames: 4, size: 32, training: true, seed: 3)
    let storage = FloatStorage(count: form.clipElements)
    let request = ClipRequest(
      path: path, first: first, frames: 90, isProved: clip.isProved, head: clip.head, clip: first,
      expectedBytes: 0, expectedHash: clip.hash)
    try loader.load(request, form, epoch: 0, into: storage)
    return storage.array
  }

  @Test("a part of a long video is loaded from its own packets, with the same numbers", arguments: kinds)
  func parts(kind: Kind) throws {
    try withFile(try kind.maker.make()) { path in
      let clip = try ClipProbe.probe(path, deep: false)
      #expect(clip.isProved, "\(clip.doubt ?? "")")
      let loader = ClipLoader()
      _ = try load(loader, path, clip, 0)
      for first in [0, 7, 500, 519, 520, 521, 1010] {
        let before = loader.progress.count
        let numbers = try load(loader, path, clip, first)
        #expect(
          loader.progress.count - before < 500 || !kind.isEntered,
          "\(loader.progress.count - before) packets for frame \(first)")
        #expect(numbers == (try load(ClipLoader(), path, clip, first)), "frame \(first)")
      }
    }
  }

  @Test("where the packets are not what they were, the whole file is read again")
  func changed() throws {
    let makers = [Self.kinds[0].maker, Self.long("libx264", "mp4", ["x264-params": "qp=40"]).maker]
    let files = try makers.map { try $0.make() }
    try withFile(files[0]) { path in
      let clip = try ClipProbe.probe(path, deep: false)
      let loader = ClipLoader()
      _ = try load(loader, path, clip, 0)
      try files[1].write(to: URL(fileURLWithPath: path))
      #expect(try load(loader, path, clip, 500) == load(ClipLoader(), path, clip, 500))
    }
  }

  @Test("a window begins where its first frame can be decoded, and there is none for most of the file")
  func windows() throws {
    // An entry each 10 packets; that at 500 is followed by a picture that is shown before it.
    var facts = (0..<1000).map { PacketFacts(pts: Int64(10 * $0), isEntry: $0 % 10 == 0) }
    facts[501].pts = 4995
    var packet = AVPacket()
    let places = facts.indices.map { number in
      packet.pos = Int64(number)
      return withUnsafeMutablePointer(to: &packet) { PacketPlace($0) }
    }
    let table = try #require(EntryTable(PacketIndex(facts), places))
    #expect(table.count == 100)
    let window = try #require(table.window(for: 500..<505))
    #expect(window.firstFrame == 490 && window.packets == 20)
    #expect(table.window(for: 501..<505)?.packets == 10 && table.window(for: 501..<505)?.firstFrame == 500)
    #expect(table.window(for: 489..<491)?.packets == 20)
    #expect(table.window(for: 0..<600) == nil && table.window(for: 3..<3) == nil)
    #expect(EntryTable(PacketIndex(Array(facts.prefix(900))), Array(places.prefix(900))) == nil)
  }
}
