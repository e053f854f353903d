// Tells a decoder that hangs from one that works, or that waits for a disk: a pure decision.
import Glibc

/// Watches a decoder while it owes an answer.
struct DecoderWatch {
  /// What can be seen of a decoder at one moment.
  struct Sample {
    /// Grows with its work.
    var progress: UInt64
    /// Seconds of processor time since its start.
    var processor: Double
    /// Whether it waits for a file or for memory from disk: a slow or dead disk is not the decoder's fault.
    var awaitsDisk: Bool
    /// Whether it wants a processor, which others may have.
    var isRunnable: Bool
  }

  /// Seconds without progress that count as hanging.
  let silence: Double
  /// Seconds of processor time that the work may take. Decoding looks at its own clock; this is for what does not.
  let budget: Double
  private var start: Sample?
  /// When progress was seen last.
  private var moved: Sample?
  private var last: Sample?
  /// Seconds that were seen to pass without progress, and without anything at all.
  private var silent = 0.0
  private var idle = 0.0

  init(silence: Double, budget: Double) {
    (self.silence, self.budget) = (silence, budget)
  }

  /// Seconds between two samples.
  var interval: Double { min(0.5, silence / 8) }

  /// - Parameter passed: seconds since the last sample. Much more than `interval` means that this process was stopped
  ///   itself, which says nothing about the decoder.
  /// - Returns: how it hangs; nil if it does not.
  mutating func hang(_ sample: Sample, after passed: Double) -> String? {
    defer { last = sample }
    if start == nil { start = sample }
    guard let moved, let last, sample.progress == moved.progress, !sample.awaitsDisk else {
      (moved, silent, idle) = (sample, 0, 0)
      return outlives(sample)
    }
    let passed = min(passed, 2 * interval)
    silent += passed
    idle = sample.isRunnable || sample.processor > last.processor ? 0 : idle + passed
    if idle >= silence { return "it did nothing for \(Self.text(idle)) s" }
    let computed = sample.processor - moved.processor
    // Where it gets little of a busy processor, it has not computed for long.
    if silent >= silence, computed >= silence / 2 { return "it computed for \(Self.text(computed)) s on one packet" }
    return outlives(sample)
  }

  private func outlives(_ sample: Sample) -> String? {
    guard let start, sample.processor - start.processor > budget * 1.1 + silence else { return nil }
    return "it computed for \(Self.text(sample.processor - start.processor)) s"
  }

  private static func text(_ seconds: Double) -> String {
    seconds < 10 ? "\((seconds * 10).rounded() / 10)" : "\(Int(exactly: seconds.rounded()) ?? 0)"
  }
}

extension DecoderWatch.Sample {
  /// Looks at a process that is not reaped yet.
  /// - Parameter isReading: whether it says that it waits for a file.
  init(process: pid_t, progress: UInt64, isReading: Bool) {
    self.init(progress: progress, processor: 0, awaitsDisk: false, isRunnable: true)
    let file = unsafe open("/proc/\(process)/stat", O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { return }
    defer { close(file) }
    var bytes = [UInt8](repeating: 0, count: 1024)
    let count = unsafe read(file, &bytes, bytes.count)
    // The name in parentheses may hold anything.
    guard count > 0, let end = bytes[..<count].lastIndex(of: UInt8(ascii: ")")) else { return }
    let fields = bytes[(end + 1)..<count].split(separator: UInt8(ascii: " "))
    guard fields.count > 12, let state = fields[0].first else { return }
    let ticks = fields[11...12].compactMap { Double(String(decoding: $0, as: UTF8.self)) }.reduce(0, +)
    processor = ticks / Double(max(1, sysconf(Int32(_SC_CLK_TCK))))
    isRunnable = state == UInt8(ascii: "R")
    awaitsDisk = state == UInt8(ascii: "D") || isReading && state == UInt8(ascii: "S")
  }
}
