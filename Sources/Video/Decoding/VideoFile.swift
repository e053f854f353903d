// One video file: counts its frames, and decodes exactly those that are asked for.
import CFFmpeg
import Shared

/// An open video file. It belongs to one thread.
///
/// Frames are counted as they are shown: those that an edit list removes do not count, and a variable frame rate does
/// not matter. (FFmpeg's command line repeats and drops frames to keep a constant rate, so its numbers differ.) Pixels
/// are taken as square.
@safe
public final class VideoFile {
  public let path: String
  /// Seconds, as the file claims; 0 if it does not say.
  public let duration: Double
  /// The clockwise rotation for display, in degrees: 0, 90, 180 or 270.
  public var rotation: Int { orientation.degrees }
  /// Pixels as displayed, after rotation.
  public let width: Int
  public let height: Int
  /// Why frames must be found by decoding and counting all of them; nil if timestamps find them.
  public private(set) var doubt: String?
  /// Whether timestamps find the frames.
  public var isExact: Bool { doubt == nil }

  let orientation: Orientation
  private let gateway: FFmpegGateway
  private let demuxer: Demuxer
  private let decoder: Decoder
  private let packets: PacketStore
  private var decodedCount: Int?

  /// Opens the file and reads its packets, without decoding more than FFmpeg needs to know the format.
  /// - Parameters:
  ///   - decodedCount: the frame count from an earlier full decode, if there was one.
  ///   - progress: grows with each packet, here and in every later call.
  /// - Throws: `VideoError` if it is not a usable video.
  public init(path: String, decodedCount: Int? = nil, progress: DecodeProgress? = nil) throws(VideoError) {
    self.path = path
    self.decodedCount = decodedCount
    demuxer = try Demuxer(path: path, progress: progress)
    gateway = demuxer.gateway
    duration = demuxer.duration
    let parameters = unsafe demuxer.stream.pointee.codecpar.pointee
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
    unsafe decoder = try Decoder(demuxer.stream, gateway: gateway, progress: progress)
    packets = try PacketStore(demuxer)
    doubt = packets.index.doubt
  }

  /// The number of frames. Decodes everything, once, if timestamps cannot be trusted.
  /// - Throws: `VideoError` if decoding fails or gives no frame.
  public func frameCount() throws -> Int {
    if isExact { return packets.index.order.count }
    if let decodedCount { return decodedCount }
    var count = 0
    try decodeAll { _, _ in
      count += 1
      return true
    }
    guard count > 0 else { throw gateway.error("decode", "no frame could be decoded") }
    decodedCount = count
    return count
  }

  /// How a call of `decode` ended.
  enum Outcome {
    case complete
    /// The timestamps were wrong. `frameCount()` may have changed, so choose the frames again and repeat the call. This
    /// cannot happen twice.
    case recount
  }

  /// Decodes the given frames, and passes each to `use` once.
  /// - Parameters:
  ///   - frames: positions in 0..<frameCount(), any order.
  ///   - use: called in the order in which frames are decoded. Discard the frames that it got before `.recount`.
  /// - Throws: `VideoError` if a wanted frame is damaged.
  func decode(_ frames: [Int], _ use: (Int, DecodedFrame) throws -> Void) throws -> Outcome {
    let wanted = Set(frames)
    guard let last = wanted.max() else { return .complete }
    if isExact {
      guard try decodeByTime(wanted.sorted(), use) else {
        doubt = "frames missing or damaged when found by timestamps"
        return .recount
      }
      return .complete
    }
    var found = 0
    try decodeAll { position, frame in
      if wanted.contains(position) {
        if frame.isDamaged { throw gateway.error("decode", "frame \(position) is damaged") }
        try use(position, frame)
        found += 1
      }
      return position < last
    }
    guard found == wanted.count else { throw gateway.error("decode", "frame \(last) does not exist") }
    return .complete
  }

  /// Decodes every frame.
  /// - Returns: the number of frames.
  /// - Throws: `VideoError` if a frame is damaged, or there is none.
  func decodeEveryFrame(_ use: (Int, DecodedFrame) throws -> Void = { _, _ in }) throws -> Int {
    var count = 0
    try decodeAll { position, frame in
      if frame.isDamaged { throw gateway.error("decode", "frame \(position) is damaged") }
      try use(position, frame)
      count += 1
      return true
    }
    guard count > 0 else { throw gateway.error("decode", "no frame could be decoded") }
    return count
  }

  /// Decodes only what the wanted frames need.
  /// - Returns: false if a frame is missing or damaged.
  private func decodeByTime(_ wanted: [Int], _ use: (Int, DecodedFrame) throws -> Void) throws -> Bool {
    let index = packets.index
    var missing: [Int64: Int] = [:]
    for frame in wanted { missing[index.packets[index.order[frame]].pts ?? 0] = frame }
    let wantedPackets = Set(wanted.map { index.order[$0] })
    var isSound = true
    let collect = { (frame: DecodedFrame) in
      guard let position = missing.removeValue(forKey: frame.time) else { return }
      isSound = isSound && !frame.isDamaged
      if isSound { try use(position, frame) }
    }
    for run in index.runs(for: wanted) {
      decoder.reset()
      do {
        for position in run.packets {
          let packet = unsafe try packets.packet(position)
          unsafe try decoder.decode(packet, isWanted: wantedPackets.contains(position), collect)
        }
        unsafe try decoder.decode(nil, isWanted: true, collect)
      } catch let error as VideoError where error.operation == "decode" {
        return false
      }
      if !isSound { return false }
    }
    return missing.isEmpty
  }

  /// Decodes from the beginning, until `use` returns false.
  private func decodeAll(_ use: (Int, DecodedFrame) throws -> Bool) throws {
    decoder.reset()
    var count = 0
    var goesOn = true
    let pass = { (frame: DecodedFrame) in
      guard goesOn else { return }
      goesOn = try use(count, frame)
      count += 1
    }
    for position in packets.index.packets.indices {
      guard goesOn else { return }
      unsafe try decoder.decode(packets.packet(position), isWanted: true, pass)
    }
    if goesOn { unsafe try decoder.decode(nil, isWanted: true, pass) }
  }
}
