// What a decoder is asked, and what it answers.
import Foundation
import Shared

/// A clip to decode, and what is known of its file.
struct ClipJob: Equatable {
  var request: ClipRequest
  var form: ClipForm
  var epoch: Int
  /// Whether the file's size and hash must be compared with the request's.
  var checks: Bool
  /// The file's frames, if they were counted before.
  var total: Int?
}

struct DecodingRequest: Equatable {
  enum Work: Equatable {
    /// Decodes a clip into a segment, beginning at the byte `offset`.
    case load(ClipJob, MemorySegment.Name, offset: Int)
    case probe(path: String, range: Range<UInt64>?, deep: Bool)
    case pictures(
      path: String, range: Range<UInt64>?, isProved: Bool, first: Int, frames: Int, count: Int, height: Int)
  }

  var work: Work
  var rules: VideoRules
  /// The nonces of segments that are not used any more.
  var dropped: [UInt64] = []

  var path: String {
    switch work {
    case .load(let job, _, _): job.request.path
    case .probe(let path, _, _), .pictures(let path, _, _, _, _, _, _): path
    }
  }
}

enum DecodingAnswer {
  /// The first answer, before any request: the versions of FFmpeg's libraries.
  case started([UInt64])
  /// - Parameter total: the file's frames, if they had to be counted.
  case loaded(total: Int?)
  case probed(ProbedClip)
  case pictures(ClipPictures)
  case failed(VideoError)
  /// The decoder cannot map the memory that it should write to.
  case noMemory
}

extension DecodingRequest {
  var bytes: [UInt8] {
    var fields = FieldWriter()
    fields.put(rules.pixels)
    fields.put(rules.packets)
    fields.put(rules.bytes)
    fields.put(rules.seconds)
    fields.put(rules.acceptsTruncated)
    fields.put(rules.imageNames?.text ?? "")
    fields.put(dropped.map { Int(truncatingIfNeeded: $0) })
    switch work {
    case .load(let job, let memory, let offset):
      fields.put(0)
      fields.put(job)
      fields.put(memory.door)
      fields.put(memory.bytes)
      fields.put(memory.nonce)
      fields.put(offset)
    case .probe(let path, let range, let deep):
      fields.put(1)
      fields.put(path)
      fields.put(range)
      fields.put(deep)
    case .pictures(let path, let range, let isProved, let first, let frames, let count, let height):
      fields.put(2)
      fields.put(path)
      fields.put(range)
      fields.put(isProved)
      for number in [first, frames, count, height] { fields.put(number) }
    }
    return fields.bytes
  }

  init(_ bytes: [UInt8]) throws(DecoderEnd) {
    var fields = FieldReader(bytes)
    rules = VideoRules()
    rules.pixels = try fields.int()
    rules.packets = try fields.int()
    rules.bytes = try fields.unsigned()
    rules.seconds = try fields.double()
    rules.acceptsTruncated = try fields.flag()
    let names = try fields.text()
    rules.imageNames = ImageNameTemplate(names)
    guard names.isEmpty || rules.imageNames != nil else { throw .nonsense }
    dropped = try fields.ints().map { UInt64(bitPattern: Int64($0)) }
    switch try fields.int() {
    case 0:
      let job = try fields.job()
      let memory = MemorySegment.Name(
        door: try fields.unsigned(), bytes: try fields.unsigned(), nonce: try fields.unsigned())
      work = .load(job, memory, offset: try fields.int())
    case 1: work = .probe(path: try fields.text(), range: try fields.range(), deep: try fields.flag())
    case 2:
      work = .pictures(
        path: try fields.text(), range: try fields.range(), isProved: try fields.flag(), first: try fields.int(),
        frames: try fields.int(), count: try fields.int(), height: try fields.int())
    default: throw .nonsense
    }
    try fields.end()
  }
}

extension DecodingAnswer {
  /// The most bytes of an answer under these rules: a probed file has a time for each packet, or a number for each
  /// image.
  static func mostBytes(_ rules: VideoRules) -> Int {
    // However many packets the recipe allows.
    (1 << 20) + 16 * min(max(0, rules.packets), 1 << 27)
  }

  var bytes: [UInt8] {
    var fields = FieldWriter()
    switch self {
    case .started(let versions):
      fields.put(0)
      fields.put(versions.map { Int(truncatingIfNeeded: $0) })
    case .loaded(let total):
      fields.put(1)
      fields.put(total)
    case .probed(let clip):
      fields.put(2)
      fields.put(clip)
    case .pictures(let pictures):
      fields.put(3)
      fields.put(pictures.rotation)
      fields.put(pictures.jpegs.count)
      for jpeg in pictures.jpegs { fields.put(Array(jpeg)) }
    case .failed(let error):
      fields.put(4)
      fields.put(error)
    case .noMemory: fields.put(5)
    }
    return fields.bytes
  }

  init(_ bytes: [UInt8]) throws(DecoderEnd) {
    var fields = FieldReader(bytes)
    switch try fields.int() {
    case 0: self = .started(try fields.ints().map { UInt64(bitPattern: Int64($0)) })
    case 1: self = .loaded(total: try fields.optional())
    case 2: self = .probed(try fields.probed())
    case 3:
      let rotation = try fields.int()
      var jpegs: [Data] = []
      for _ in 0..<(try fields.count(of: 8)) { jpegs.append(Data(try fields.block())) }
      self = .pictures(ClipPictures(jpegs: jpegs, rotation: rotation))
    case 4: self = .failed(try fields.error())
    case 5: self = .noMemory
    default: throw .nonsense
    }
    try fields.end()
  }
}

// MARK: The parts of messages

extension FieldWriter {
  fileprivate mutating func put(_ range: Range<UInt64>?) {
    put(range != nil)
    if let range {
      put(range.lowerBound)
      put(range.upperBound)
    }
  }

  fileprivate mutating func put(_ digest: Digest128) {
    put(digest.high)
    put(digest.low)
  }

  fileprivate mutating func put(_ job: ClipJob) {
    let request = job.request
    put(request.path)
    put(request.range)
    put(request.first)
    put(request.frames)
    put(request.isProved)
    put(request.head.map { Int($0.code) })
    put(request.clip)
    put(request.expectedBytes)
    put(request.expectedHash)
    let form = job.form
    put(form.frames)
    put(form.size)
    switch form.sampling {
    case .uniform: put(nil as Int?)
    case .dense(let stride): put(stride as Int?)
    }
    put(form.framesPerGroup)
    put(form.training)
    put(form.flip)
    put(form.shuffleFrames)
    put(form.seed)
    put(form.scales)
    for number in [form.cropArea, form.pixels.colour, form.pixels.hue, form.pixels.erasing] { put(number) }
    put(form.scaleUp)
    for number in [form.view.clip, form.view.clips, form.view.crop, form.view.crops] { put(number) }
    put(job.epoch)
    put(job.checks)
    put(job.total)
  }

  fileprivate mutating func put(_ clip: ProbedClip) {
    for number in [clip.frames, clip.width, clip.height] { put(number) }
    put(clip.duration)
    put(clip.frameRate)
    put(clip.codec)
    put(clip.bytes)
    put(clip.hash)
    put(clip.isProved)
    put(clip.head.map { Int($0.code) })
    put(clip.doubt != nil)
    put(clip.doubt ?? "")
    put(clip.times)
    put(clip.imageNumbers)
  }

  fileprivate mutating func put(_ error: VideoError) {
    for text in [error.path, error.operation, error.cause] { put(text) }
    put(error.clip)
    put(Int(error.status.rawValue))
    put(error.errorNumber.map { Int($0) })
  }
}

extension FieldReader {
  fileprivate mutating func range() throws(DecoderEnd) -> Range<UInt64>? {
    guard try flag() else { return nil }
    let (start, end) = (try unsigned(), try unsigned())
    guard start <= end else { throw .nonsense }
    return start..<end
  }

  fileprivate mutating func head() throws(DecoderEnd) -> FileHead? {
    try optional().flatMap { UInt8(exactly: $0) }.flatMap { FileHead(code: $0) }
  }

  fileprivate mutating func digest() throws(DecoderEnd) -> Digest128 {
    Digest128(high: try unsigned(), low: try unsigned())
  }

  fileprivate mutating func job() throws(DecoderEnd) -> ClipJob {
    let request = ClipRequest(
      path: try text(), range: try range(), first: try int(), frames: try int(), isProved: try flag(), head: try head(),
      clip: try int(), expectedBytes: try unsigned(), expectedHash: try digest())
    let (frames, size) = (try int(), try int())
    let sampling: FrameSampling = try optional().map { .dense(stride: $0) } ?? .uniform
    let framesPerGroup = try int()
    guard framesPerGroup > 0, frames > 0, frames % framesPerGroup == 0 else { throw .nonsense }
    let form = ClipForm(
      frames: frames, size: size, sampling: sampling, framesPerGroup: framesPerGroup, training: try flag(),
      flip: try flag(), shuffleFrames: try flag(), seed: try unsigned(), scales: try doubles(),
      cropArea: try double(), pixels: PixelRule(colour: try double(), hue: try double(), erasing: try double()),
      scaleUp: try flag(),
      view: ClipView(clip: try int(), clips: try int(), crop: try int(), crops: try int()))
    return ClipJob(request: request, form: form, epoch: try int(), checks: try flag(), total: try optional())
  }

  fileprivate mutating func probed() throws(DecoderEnd) -> ProbedClip {
    let (frames, width, height) = (try int(), try int(), try int())
    guard frames >= 0, width >= 0, height >= 0 else { throw .nonsense }
    let (duration, frameRate, codec) = (try double(), try double(), try text())
    let (bytes, hash, isProved) = (try unsigned(), try digest(), try flag())
    let head = try head()
    let (hasDoubt, doubt) = (try flag(), try text())
    return ProbedClip(
      frames: frames, width: width, height: height, duration: duration, frameRate: frameRate, codec: codec,
      bytes: bytes, hash: hash, isProved: isProved, head: head, doubt: hasDoubt ? doubt : nil, times: try doubles(),
      imageNumbers: try ints())
  }

  fileprivate mutating func error() throws(DecoderEnd) -> VideoError {
    let (path, operation, cause) = (try text(), try text(), try text())
    let clip = try optional()
    guard let code = Int32(exactly: try int()), let status = ExitStatus(rawValue: code) else { throw .nonsense }
    let number = try optional()
    return VideoError(
      path: path, operation: operation, cause: cause, clip: clip, status: status,
      errorNumber: number.map { Int32(clamping: $0) })
  }
}
