// One video file: counts its frames, and decodes exactly those that are asked for.
import CFFmpeg
import Shared

/// An open video file. It belongs to one thread.
///
/// Frame n is what comes n-th out of the decoder when everything is decoded from the beginning: those that an edit list
/// removes do not count, and a variable frame rate does not matter. (FFmpeg's command line repeats and drops frames to
/// keep a constant rate, so its numbers differ.) Pixels are taken as square.
@safe
public final class VideoFile {
  public let path: String
  /// Seconds, as the file claims; 0 if it does not say.
  public let duration: Double
  /// Frames in a second; 0 if the file does not say.
  public let frameRate: Double
  /// FFmpeg's name of the codec.
  public let codec: String
  /// The clockwise rotation for display, in degrees: 0, 90, 180 or 270.
  public var rotation: Int { orientation.degrees }
  /// Pixels as displayed, after rotation.
  public let width: Int
  public let height: Int
  /// Whether decoding may begin at the packet index's entry points. Otherwise it begins at the beginning.
  public internal(set) var isProved: Bool
  /// Why it may not, where `prove` has found a reason.
  public internal(set) var doubt: String?

  let orientation: Orientation
  let gateway: FFmpegGateway
  let demuxer: Demuxer
  let decoder: Decoder
  let packets: PacketStore
  /// The number of the first frame of `packets`.
  private let firstFrame: Int
  var decodedCount: Int?
  private var isUsed = false

  /// Opens the file and reads its packets, without decoding more than FFmpeg needs to know the format.
  /// - Parameters:
  ///   - isProved: what `prove` found when the file was indexed.
  ///   - head: what `head` was when the file was indexed.
  ///   - window: the packets that hold all frames that will be asked for.
  ///   - progress: grows with each packet, here and in every later call.
  /// - Throws: `VideoError` if it is not a usable video.
  init(
    _ file: ClipFile, rules: VideoRules = VideoRules(), isProved: Bool = false, head: FileHead? = nil,
    window: EntryTable.Window? = nil, progress: DecodeProgress? = nil
  ) throws(VideoError) {
    path = file.path
    demuxer = try Demuxer(file, rules, ProcessorBudget(seconds: rules.seconds), head: head, progress: progress)
    gateway = demuxer.gateway
    (duration, frameRate) = (demuxer.duration, demuxer.frameRate)
    let parameters = unsafe demuxer.parameters.pointee
    codec = unsafe String(cString: avcodec_get_name(parameters.codec_id))
    var turn = Orientation()
    if let matrix = unsafe tamring_ffmpeg_display_matrix(demuxer.stream) {
      guard let read = Orientation(matrix: unsafe Array(UnsafeBufferPointer(start: matrix, count: 9))) else {
        throw gateway.error("display", "it is turned by an angle that is no multiple of 90 degrees")
      }
      turn = read
    }
    orientation = turn
    let (across, down) = unsafe (Int(parameters.width), Int(parameters.height))
    (width, height) = turn.isTransposed ? (down, across) : (across, down)
    unsafe decoder = try Decoder(
      demuxer.parameters, timebase: demuxer.stream.pointee.time_base, rules: rules, gateway: gateway,
      progress: progress)
    packets = try PacketStore(demuxer, window)
    firstFrame = window?.firstFrame ?? 0
    self.isProved = isProved && packets.index.doubt == nil
  }

  /// Opens a file by its path.
  convenience init(
    path: String, range: Range<UInt64>? = nil, rules: VideoRules = VideoRules(), isProved: Bool = false,
    head: FileHead? = nil, progress: DecodeProgress? = nil
  ) throws(VideoError) {
    try self.init(
      try ClipFile(path: path, range: range), rules: rules, isProved: isProved, head: head, progress: progress)
  }

  /// The number of frames. Decodes everything, once, unless the packets are proved to be the frames.
  /// - Throws: `VideoError` if decoding fails or gives no frame.
  public func frameCount() throws -> Int {
    if isProved { return packets.index.order.count }
    if let decodedCount { return decodedCount }
    return try decodeEveryFrame()
  }

  /// Seconds from the first frame to each, in the order of frames; empty if timestamps do not tell.
  func times() -> [Double] {
    let index = packets.index
    guard index.isByTime, isProved || decodedCount == index.order.count, demuxer.tick > 0 else { return [] }
    let ticks = index.order.map { index.packets[$0].pts ?? 0 }
    guard let first = ticks.first else { return [] }
    return ticks.map { Double($0.subtractingReportingOverflow(first).partialValue) * demuxer.tick }
  }

  /// Decodes the given frames, and passes each to `use` once.
  /// - Parameters:
  ///   - frames: positions in 0..<frameCount(), any order.
  ///   - use: called in the order in which frames are decoded.
  /// - Throws: `VideoError` if a wanted frame is damaged or does not exist.
  func decode(_ frames: [Int], _ use: (Int, DecodedFrame) throws -> Void) throws {
    let wanted = Set(frames.map { $0 - firstFrame })
    guard let last = wanted.max() else { return }
    if isProved {
      guard last < packets.index.order.count else {
        throw gateway.error("decode", "frame \(last + firstFrame) does not exist")
      }
      return try decodeFromEntries(wanted) { try use($0 + firstFrame, $1) }
    }
    var found = 0
    try decodeFromBeginning { position, frame in
      if wanted.contains(position) {
        try use(position, frame)
        found += 1
      }
      return position < last
    }
    guard found == wanted.count else { throw gateway.error("decode", "frame \(last) does not exist") }
  }

  /// Decodes every frame from the beginning.
  /// - Returns: the number of frames.
  /// - Throws: `VideoError` if a frame is damaged, or there is none.
  func decodeEveryFrame(_ use: (Int, DecodedFrame) throws -> Void = { _, _ in }) throws -> Int {
    var count = 0
    try decodeFromBeginning { position, frame in
      try use(position, frame)
      count += 1
      return true
    }
    guard count > 0 else { throw gateway.error("decode", "no frame could be decoded") }
    decodedCount = count
    return count
  }

  /// Decodes only what the wanted frames need.
  private func decodeFromEntries(_ wanted: Set<Int>, _ use: (Int, DecodedFrame) throws -> Void) throws {
    for run in packets.index.runs(for: wanted) {
      var missing = run.frames
      try decode(run, wants: { run.frames[$0] != nil }) { packet, frame in
        if let position = missing.removeValue(forKey: packet) { try use(position, frame) }
      }
      if let lost = missing.values.min() {
        throw gateway.error(
          "decode", "frame \(lost + firstFrame) does not come out of the decoder: the file is damaged")
      }
    }
  }

  /// Decodes a run with a decoder that knows nothing of what lies before it.
  /// - Parameter use: gets the number of each picture's packet.
  func decode(_ run: DecodeRun, wants: (Int) -> Bool, _ use: (Int, DecodedFrame) throws -> Void) throws {
    try prepareDecoder()
    let pass = { (frame: DecodedFrame) in
      let packet = Int(clamping: frame.packet)
      // A picture that is damaged may be what later ones are made of.
      if frame.isDamaged { throw self.gateway.error("decode", "the picture of packet \(packet) is damaged") }
      try use(packet, frame)
    }
    for position in run.packets {
      unsafe try decoder.decode(packets.packet(position), isWanted: wants(position), pass)
    }
    unsafe try decoder.decode(nil, isWanted: true, pass)
  }

  /// Decodes from the beginning, until `use` returns false.
  private func decodeFromBeginning(_ use: (Int, DecodedFrame) throws -> Bool) throws {
    try prepareDecoder()
    var count = 0
    var goesOn = true
    let pass = { (frame: DecodedFrame) in
      guard goesOn else { return }
      if frame.isDamaged { throw self.gateway.error("decode", "frame \(count) is damaged") }
      goesOn = try use(count, frame)
      count += 1
    }
    for position in packets.index.packets.indices {
      guard goesOn else { return }
      unsafe try decoder.decode(packets.packet(position), isWanted: true, pass)
    }
    if goesOn { unsafe try decoder.decode(nil, isWanted: true, pass) }
  }

  /// Gives the decoder the state in which it was made.
  private func prepareDecoder() throws(VideoError) {
    if isUsed { try decoder.restart() }
    isUsed = true
  }
}
