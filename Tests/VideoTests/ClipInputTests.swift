// What is read for a clip: the named bytes and nothing else, within limits; and what is said of files that are none.
import CFFmpeg
import Foundation
import Glibc
import Shared
import Testing

@testable import Video

@Suite(.timeLimit(.minutes(2))) struct ClipInputTests {
  private func refusal(_ path: String, rules: VideoRules = VideoRules(), deep: Bool = false) -> VideoError? {
    #expect(throws: VideoError.self) { try ClipProbe.probe(path, deep: deep, rules: rules) }
  }

  @Test("a list of other files is refused by its kind, whatever it is called, and does not open them")
  func lists() throws {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("tamring-\(UUID())").path
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    // Whoever opened this would wait for a writer for ever.
    #expect(mkfifo(folder + "/fifo.mp4", 0o600) == 0)
    let lists = [
      "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n\(folder)/fifo.mp4\n#EXT-X-ENDLIST\n",
      "ffconcat version 1.0\nfile '\(folder)/fifo.mp4'\n",
      "<?xml version=\"1.0\"?><MPD xmlns=\"urn:mpeg:dash:schema:mpd:2011\" type=\"static\" "
        + "profiles=\"urn:mpeg:dash:profile:isoff-on-demand:2011\"><Period><AdaptationSet "
        + "mimeType=\"video/mp4\"><Representation id=\"1\" bandwidth=\"1\"><BaseURL>\(folder)/fifo.mp4</BaseURL>"
        + "</Representation></AdaptationSet></Period></MPD>",
    ]
    for text in lists {
      try withFile(Data(text.utf8)) { path in
        let error = refusal(path)
        #expect(error?.cause.contains("list of other files") == true, "\(error?.cause ?? "")")
      }
    }
    #expect(refusal(folder + "/fifo.mp4")?.cause == "not a regular file")
    #expect(refusal("/dev/zero")?.cause == "not a regular file")
  }

  @Test("an image, text and a FLAC file with a cover are no videos, and are told so")
  func noVideos() throws {
    let jpeg = try ClipMaker(encoder: "mjpeg", container: "mjpeg", frames: 1, format: AV_PIX_FMT_YUVJ420P).make()
    try withFile(jpeg, named: "clip.mp4") { #expect(refusal($0)?.cause.contains("single image") == true) }
    try withFile(Data("1 2 3\nhello\n".utf8)) { #expect(refusal($0)?.cause.isEmpty == false) }
    // An MP3 that begins with a picture (ID3v2.3, frame APIC).
    func four(_ value: Int) -> [UInt8] { [24, 16, 8, 0].map { UInt8(value >> $0 & 255) } }
    func sevens(_ value: Int) -> [UInt8] { [21, 14, 7, 0].map { UInt8(value >> $0 & 127) } }
    let picture = Data([0]) + Data("image/jpeg".utf8) + Data([0, 3, 0]) + jpeg
    let frame = Data("APIC".utf8) + Data(four(picture.count)) + Data([0, 0]) + picture
    let music = (0..<20).reduce(into: Data()) { bytes, _ in
      bytes += Data([0xff, 0xfb, 0x90, 0x64]) + Data(repeating: 0, count: 413)
    }
    let song = Data("ID3".utf8) + Data([3, 0, 0]) + Data(sevens(frame.count)) + frame + music
    try withFile(song, named: "song.mp3") {
      let error = refusal($0)
      #expect(error?.cause == "no video stream, only a cover picture", "\(error?.cause ?? "")")
    }
  }

  @Test("a missing decoder is named, also one that FFmpeg has never heard of")
  func missingDecoder() throws {
    for (name, expected) in [("vvc1", "the decoder for VVC is missing"), ("zz9z", "the codec 'zz9z'")] {
      var bytes = try ClipMaker().make()
      let entry = try #require(bytes.range(of: Data("avc1".utf8), in: 64..<bytes.count))
      bytes.replaceSubrange(entry, with: Data(name.utf8))
      try withFile(bytes) {
        let error = refusal($0)
        #expect(error?.cause.contains(expected) == true, "\(error?.cause ?? "")")
      }
    }
  }

  @Test("a clip within a shard is read there: the same facts and frames as from a file of its own")
  func shard() throws {
    for maker in [ClipMaker(), ClipMaker(container: "matroska"), ClipMaker(encoder: "mpeg4", container: "avi")] {
      let bytes = try maker.make()
      let shard = Data(repeating: 7, count: 1536) + bytes + (try ClipMaker(frames: 5).make())
      try withFile(bytes) { alone in
        try withFile(shard, named: "shard.tar") { path in
          let range = UInt64(1536)..<UInt64(1536 + bytes.count)
          let clip = try ClipProbe.probe(path, range: range, deep: true)
          let same = try ClipProbe.probe(alone, deep: true)
          #expect(clip == same)
          let truth = try #require(ReferenceDecoder.digests(alone))
          var found: [Int: Digest128] = [:]
          try VideoFile(path: path, range: range, isProved: clip.isProved).decode([3, 30]) { found[$0] = $1.digest() }
          #expect(found == [3: truth[3], 30: truth[30]])
          let form = ClipForm(frames: 4, size: 16, training: true, seed: 2)
          let (ours, theirs) = (FloatStorage(count: form.clipElements), FloatStorage(count: form.clipElements))
          var request = ClipRequest(
            path: alone, first: 10, frames: 20, isProved: clip.isProved, head: clip.head, clip: 1,
            expectedBytes: clip.bytes,
            expectedHash: clip.hash)
          try ClipLoader().load(request, form, epoch: 1, into: ours)
          request.path = path
          request.range = range
          try ClipLoader().load(request, form, epoch: 1, into: theirs)
          #expect(ours.array == theirs.array)
          let beyond = UInt64(1536)..<UInt64(shard.count + 1)
          let error = #expect(throws: VideoError.self) { try ClipProbe.probe(path, range: beyond, deep: false) }
          #expect(error?.cause.contains("the shard has") == true)
        }
      }
    }
  }

  @Test("a clip of some seconds is the frames of those seconds, and only they are loaded")
  func seconds() throws {
    try withFile(try ClipMaker().make()) { path in
      let clip = try ClipProbe.probe(path, deep: false)
      #expect(clip.frames == 60 && abs(clip.frameRate - 25) < 0.01 && clip.codec == "h264")
      #expect(clip.frames(from: 0, to: 1) == 0..<25 && clip.frames(from: 0.4, to: 0.8) == 10..<20)
      #expect(clip.end.map { abs($0 - 2.4) < 1e-6 && clip.frames(from: 2, to: $0) == 50..<60 } == true)
      #expect(clip.frames(from: 2, to: 99) == 50..<60 && clip.frames(from: 5, to: 9).isEmpty)
      #expect(clip.frames(from: 1, to: 0.5).isEmpty && clip.frames(from: .nan, to: .infinity).isEmpty)
    }
  }

  @Test("each limit refuses what is beyond it, and says which it is")
  func limits() throws {
    try withFile(try ClipMaker().make()) { path in
      for (rules, word) in [
        (VideoRules(pixels: 96 * 64 - 1), "pixels"), (VideoRules(packets: 59), "packets"),
        (VideoRules(bytes: 1000), "bytes"), (VideoRules(seconds: 0), "seconds of processor time"),
      ] {
        let error = refusal(path, rules: rules, deep: true)
        #expect(error?.cause.contains(word) == true && error?.cause.contains("limit") == true, "\(error?.cause ?? "")")
        #expect(error?.status == .badData && error?.errorNumber == nil)
      }
      let within = try ClipProbe.probe(path, deep: true, rules: VideoRules(pixels: 96 * 64, packets: 60))
      #expect(within.frames == 60)
    }
  }

  @Test("a missing or forbidden file is the clip's fault; no descriptor, or a disk that fails, may pass")
  func passing() async throws {
    #expect(refusal("/nowhere/a.mp4")?.cause == "no such file")
    for (number, isPassing) in [
      (EIO, true), (ESTALE, true), (EMFILE, true), (ENFILE, true), (ENOMEM, true), (ENOENT, false), (EACCES, false),
      (ELOOP, false),
    ] {
      let error = ClipFile.failure("a.mp4", "open", number)
      #expect(error.errorNumber == (isPassing ? number : nil) && error.status == (isPassing ? .ioError : .badData))
    }
    await #expect(processExitsWith: .success) {
      try withFile(try ClipMaker(frames: 3).make()) { path in
        var limit = rlimit(rlim_cur: 0, rlim_max: 0)
        getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        var none = rlimit(rlim_cur: 0, rlim_max: limit.rlim_max)
        setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &none)
        let error = #expect(throws: VideoError.self) { try ClipProbe.probe(path, deep: false) }
        setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        #expect(error?.errorNumber == EMFILE && error?.status == .ioError)
        #expect(throws: Never.self) { try ClipProbe.probe(path, deep: false) }
      }
    }
  }

  @Test("a name with a zero byte, or with a protocol's prefix, is just a name")
  func names() throws {
    #expect(refusal("/tmp/a\0b.mp4")?.cause.contains("no such file") == true)
    try withFile(try ClipMaker(frames: 3).make(), named: "http:x.mp4") { path in
      let clip = try ClipProbe.probe(path, deep: false)
      #expect(clip.frames == 3)
    }
  }
}
