// FFmpeg's view of a clip's file: an AVIOContext that reads from `ClipFile` and can reach nothing else.
import CFFmpeg

/// Owns one `AVIOContext`. It belongs to one thread, and must outlive the demuxer that uses it.
@safe
final class FileInput {
  /// Bytes of one read. Most clips of data sets are a few of these.
  private static let block: Int32 = 1 << 16

  private let file: ClipFile
  private let budget: ProcessorBudget
  private var position: UInt64 = 0
  private(set) var context: UnsafeMutablePointer<AVIOContext>?

  init(_ file: ClipFile, _ budget: ProcessorBudget, _ gateway: FFmpegGateway) throws(VideoError) {
    self.file = file
    self.budget = budget
    let buffer = unsafe av_malloc(Int(FileInput.block))?.assumingMemoryBound(to: UInt8.self)
    unsafe context = nil
    guard let buffer = unsafe buffer else { throw gateway.error("open", tamring_ffmpeg_no_memory()) }
    let made = unsafe avio_alloc_context(
      buffer, FileInput.block, 0, Unmanaged.passUnretained(self).toOpaque(),
      { opaque, bytes, count in
        guard let input = unsafe FileInput.of(opaque) else { return -EINVAL }
        return unsafe input.read(UnsafeMutableRawBufferPointer(start: bytes, count: Int(max(0, count))))
      }, nil,
      { opaque, offset, origin in unsafe FileInput.of(opaque)?.seek(offset, origin) ?? -1 })
    guard let made = unsafe made else {
      unsafe av_free(buffer)
      throw gateway.error("open", tamring_ffmpeg_no_memory())
    }
    unsafe context = unsafe made
  }

  deinit {
    // FFmpeg may have replaced the buffer.
    if let context = unsafe context { unsafe av_free(context.pointee.buffer) }
    unsafe avio_context_free(&context)
  }

  /// Whether the demuxer is to give up. FFmpeg asks between its own steps.
  static var interrupt: @convention(c) (UnsafeMutableRawPointer?) -> Int32 {
    { opaque in unsafe FileInput.of(opaque)?.budget.goesOn() == false ? 1 : 0 }
  }

  var opaque: UnsafeMutableRawPointer { unsafe Unmanaged.passUnretained(self).toOpaque() }

  private static func of(_ opaque: UnsafeMutableRawPointer?) -> FileInput? {
    unsafe opaque.map { unsafe Unmanaged<FileInput>.fromOpaque($0).takeUnretainedValue() }
  }

  private func read(_ buffer: UnsafeMutableRawBufferPointer) -> Int32 {
    guard budget.goesOn() else { return tamring_ffmpeg_stopped() }
    let count = unsafe file.read(at: position, into: buffer)
    if count == 0 { return tamring_ffmpeg_eof() }
    if count > 0 { position += UInt64(count) }
    return Int32(clamping: count)
  }

  private func seek(_ offset: Int64, _ origin: Int32) -> Int64 {
    let (from, size) = (Int64(clamping: position), Int64(clamping: file.size))
    let base: Int64
    switch origin & ~AVSEEK_FORCE {
    case AVSEEK_SIZE: return size
    case SEEK_SET: base = 0
    case SEEK_CUR: base = from
    case SEEK_END: base = size
    default: return Int64(-EINVAL)
    }
    let (place, overflow) = base.addingReportingOverflow(offset)
    guard !overflow, place >= 0 else { return Int64(-EINVAL) }
    position = UInt64(place)
    return place
  }
}
