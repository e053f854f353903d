// Marks the calls that may wait for a disk or a network, so that a watchdog does not blame the decoder for it.

enum FileWait {
  /// Where a process that decodes for another one shows that it waits; nil elsewhere. It is set before anything is
  /// read.
  nonisolated(unsafe) static var status: DecoderStatus?

  static func during<Result>(_ call: () -> Result) -> Result {
    guard let status = unsafe status else { return call() }
    status.isReading = true
    defer { status.isReading = false }
    return call()
  }
}
