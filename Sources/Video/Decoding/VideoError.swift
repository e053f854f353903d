// The module's error, and the gateway that checks every return code of FFmpeg.
import CDecoderLog
import CFFmpeg
import Foundation
import Glibc
import Shared

/// A clip that cannot be read.
public struct VideoError: Failure, Equatable {
  public let path: String
  /// The operation that failed: "open", "decode"…
  public let operation: String
  /// The reason: FFmpeg's message or our own.
  public let cause: String
  /// The clip's position in the index, if known.
  public var clip: Int?
  /// `.badData` for a property of the file; `.ioError` for what may work when it is tried again.
  public let status: ExitStatus
  /// The system's number of a passing error, such as EIO or EMFILE; nil for a property of the file.
  public let errorNumber: Int32?

  public init(
    path: String, operation: String, cause: String, clip: Int? = nil, status: ExitStatus = .badData,
    errorNumber: Int32? = nil
  ) {
    self.path = path
    self.operation = operation
    self.cause = cause
    self.clip = clip
    self.status = status
    self.errorNumber = errorNumber
  }

  public var description: String {
    let name = clip.map { "clip \($0), '\(path)'" } ?? "'\(path)'"
    let remedy =
      errorNumber == nil
      ? "replace the file or take it out of the list" : "this may pass: try again, or look at the disk"
    return "\(name): cannot \(operation): \(cause); \(remedy)"
  }
}

/// Checks FFmpeg's return codes, and turns failures into `VideoError`.
struct FFmpegGateway {
  let path: String
  /// What is read, and the time that it may take: if either has failed, that is the reason for whatever failed.
  var file: ClipFile?
  var budget: ProcessorBudget?

  /// Keeps FFmpeg from printing to standard error. Our errors contain its messages.
  static let silenced: Void = {
    av_log_set_level(AV_LOG_QUIET)
    tamring_decoder_log_install()
  }()

  /// - Returns: `code`, unless it is negative.
  /// - Throws: `VideoError` with FFmpeg's message for a negative code.
  @discardableResult
  func callAsFunction(_ operation: String, _ code: Int32) throws(VideoError) -> Int32 {
    if code < 0 { throw error(operation, code) }
    return code
  }

  /// The result of an FFmpeg allocation.
  /// - Throws: `VideoError` if there is no memory.
  func allocated<T>(_ operation: String, _ pointer: UnsafeMutablePointer<T>?) throws(VideoError)
    -> UnsafeMutablePointer<T>
  {
    guard let pointer = unsafe pointer else { throw error(operation, tamring_ffmpeg_no_memory()) }
    return unsafe pointer
  }

  /// FFmpeg's message for a negative code; ends the process instead if that has no memory.
  func error(_ operation: String, _ code: Int32) -> VideoError {
    if code == tamring_ffmpeg_no_memory() { endIfWithoutMemory() }
    return error(operation, FFmpegGateway.message(code))
  }

  /// Bytes. A clip's pictures are allocated in smaller blocks than this.
  private static let plenty = 64 << 20

  /// Ends the process if it has no memory, which is not the clip's fault. A damaged file can ask for any amount, so
  /// that it gets none tells nothing.
  func endIfWithoutMemory() {
    let block = unsafe mmap(nil, Self.plenty, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
    if unsafe block == MAP_FAILED { endWithoutMemory(for: Self.plenty) }
    unsafe munmap(block, Self.plenty)
  }

  /// - Parameter cause: the reason, unless reading the file has failed, or the time is up.
  func error(_ operation: String, _ cause: String) -> VideoError {
    do throws(VideoError) {
      try check()
    } catch {
      return error
    }
    return VideoError(path: path, operation: operation, cause: cause)
  }

  /// - Throws: `VideoError` if reading the file has failed, which FFmpeg may take for its end, or the time is up.
  func check() throws(VideoError) {
    try file?.check()
    if let budget, budget.isSpent {
      throw VideoError(
        path: path, operation: "read",
        cause: "it takes more than \(Int(budget.seconds)) seconds of processor time, the recipe's limit for a clip")
    }
  }

  /// Looks at the clock, too.
  func checkTime() throws(VideoError) {
    if let budget, !budget.goesOn() { try check() }
  }

  static func message(_ code: Int32) -> String {
    var text = [CChar](repeating: 0, count: 128)
    _ = unsafe av_strerror(code, &text, text.count)
    return String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }
}
