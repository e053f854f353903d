// A folder of images, read as a clip.
import CFFmpeg
import Foundation
import Glibc
import Shared

/// The images of a folder as frames 0, 1, 2… in the order of their numbers. It belongs to one thread.
@safe
final class ImageFolder: ClipFrames {
  let path: String
  let images: [NumberedImage]
  /// As they are stored: turns that a camera notes in an image are not followed.
  let orientation = Orientation()
  private let rules: VideoRules
  private let budget: ProcessorBudget
  private let progress: DecodeProgress?

  /// Lists the folder. It opens no image yet.
  /// - Parameter rules: say which of its files are frames, and what they may cost.
  /// - Throws: `VideoError` if it cannot be listed, has no images, or two with one number.
  init(path: String, rules: VideoRules = VideoRules(), progress: DecodeProgress? = nil) throws(VideoError) {
    (self.path, self.rules, self.progress) = (path, rules, progress)
    budget = ProcessorBudget(seconds: rules.seconds)
    _ = FFmpegGateway.silenced
    images = try ImageNames.sorted(try ImageFolder.names(path), in: path, named: rules.imageNames)
    guard images.count <= rules.packets else {
      throw VideoError(
        path: path, operation: "read its images",
        cause: "it has \(images.count) images, more than the recipe's limit of \(rules.packets)")
    }
  }

  /// Whether a path is a folder, and not a file or missing.
  static func isFolder(_ path: String) -> Bool {
    var facts = stat()
    return FileWait.during { unsafe stat(path, &facts) } == 0 && facts.st_mode & S_IFMT == S_IFDIR
  }

  private static func names(_ path: String) throws(VideoError) -> [String] {
    var names: [String] = []
    let problem: DirectoryProblem? = FileWait.during {
      do throws(DirectoryProblem) {
        try forEachEntry(ofDirectory: path) { names.append($0.name) }
        return nil
      } catch { return error }
    }
    if let problem {
      throw ClipFile.failure(path, problem.operation == "opendir" ? "open" : "read", problem.code)
    }
    return names
  }

  func frameCount() -> Int { images.count }

  /// The size of all images, and XXH3-128 of their sizes and bytes in order.
  func hash() throws(VideoError) -> (bytes: UInt64, hash: Digest128) {
    let digest = Digest128Stream()
    var bytes: UInt64 = 0
    for image in images {
      let file = try open(image)
      bytes += file.size
      guard bytes <= rules.bytes else {
        throw VideoError(
          path: path, operation: "read its images",
          cause: "they have more bytes than the recipe's limit of \(rules.bytes)")
      }
      let size = file.size.littleEndian
      unsafe withUnsafeBytes(of: size) { unsafe digest.update($0) }
      try file.addBytes(to: digest, progress)
    }
    return (bytes, digest.finish())
  }

  func decode(_ frames: [Int], _ use: (Int, DecodedFrame) throws -> Void) throws {
    for frame in Set(frames).sorted() {
      guard images.indices.contains(frame) else {
        throw VideoError(path: path, operation: "decode", cause: "image \(frame) does not exist")
      }
      try decode(images[frame]) { try use(frame, $0) }
    }
  }

  private func open(_ image: NumberedImage) throws(VideoError) -> ClipFile {
    try ClipFile(path: path + "/" + image.name)
  }

  /// Decodes one image, whose kind its first bytes tell.
  /// - Throws: `VideoError` if it is damaged: an image that is cut off or only reported as damaged, too.
  private func decode(_ image: NumberedImage, _ use: (DecodedFrame) throws -> Void) throws {
    let file = try open(image)
    let gateway = FFmpegGateway(path: file.path, file: file, budget: budget)
    guard file.size <= min(rules.bytes, 1 << 30) else {
      throw gateway.error("decode", "an image of \(file.size) bytes is beyond the limit")
    }
    let bytes = try file.bytes(at: 0, count: Int(file.size))
    guard let codec = ImageFolder.codec(bytes) else { throw gateway.error("decode", "it is no JPEG, PNG, BMP or WebP") }
    var packet: UnsafeMutablePointer<AVPacket>? = unsafe av_packet_alloc()
    var parameters: UnsafeMutablePointer<AVCodecParameters>? = unsafe avcodec_parameters_alloc()
    defer {
      unsafe av_packet_free(&packet)
      unsafe avcodec_parameters_free(&parameters)
    }
    let data = unsafe try gateway.allocated("decode", packet)
    let stream = unsafe try gateway.allocated("decode", parameters)
    unsafe stream.pointee.codec_type = AVMEDIA_TYPE_VIDEO
    unsafe stream.pointee.codec_id = codec
    try gateway("decode", unsafe av_new_packet(data, Int32(bytes.count)))
    unsafe data.pointee.data.update(from: bytes, count: bytes.count)
    let decoder = unsafe try Decoder(
      stream, timebase: AVRational(num: 1, den: 25), rules: rules, gateway: gateway, progress: progress)
    DecoderLog.clear()
    var pictures = 0
    let pass = { (frame: DecodedFrame) in
      if let complaint = DecoderLog.complaint {
        throw gateway.error("decode", "it is damaged: the decoder reports \"\(complaint)\"")
      }
      if frame.isDamaged || codec == AV_CODEC_ID_MJPEG && !ImageFolder.hasEnd(bytes) {
        throw gateway.error("decode", "it is damaged or cut off")
      }
      pictures += 1
      if pictures == 1 { try use(frame) }
    }
    unsafe try decoder.decode(data, isWanted: true, pass)
    unsafe try decoder.decode(nil, isWanted: true, pass)
    guard pictures > 0 else { throw gateway.error("decode", "no picture could be decoded") }
  }

  private static func codec(_ bytes: [UInt8]) -> AVCodecID? {
    if bytes.starts(with: [0xff, 0xd8, 0xff]) { return AV_CODEC_ID_MJPEG }
    if bytes.starts(with: [0x89, 0x50, 0x4e, 0x47]) { return AV_CODEC_ID_PNG }
    if bytes.starts(with: "BM".utf8) { return AV_CODEC_ID_BMP }
    return bytes.starts(with: "RIFF".utf8) && bytes.dropFirst(8).starts(with: "WEBP".utf8) ? AV_CODEC_ID_WEBP : nil
  }

  /// Whether a JPEG's end marker is there. Cameras append things behind it.
  private static func hasEnd(_ bytes: [UInt8]) -> Bool {
    zip(bytes.suffix(1 << 16), bytes.suffix(1 << 16).dropFirst()).contains { $0 == 0xff && $1 == 0xd9 }
  }
}
