// Finds the reason for a worker's end in its log. Only the last part of the file is read, because its length is
// unbounded.
import Foundation

enum WorkerLog {
  /// Bytes of the file's end that are looked at; a backtrace of all threads fits.
  private static let window: UInt64 = 64 << 10
  private static let longestLine = 400

  static func size(_ path: String) -> UInt64 {
    let attributes = try? FileManager.default.attributesOfItem(atPath: path)
    return (attributes?[.size] as? NSNumber)?.uint64Value ?? 0
  }

  /// The last line after byte `start` that says why its writer ended; backtraces and empty lines are skipped.
  /// - Returns: nil where the last line reports ordinary work, or the file cannot be read.
  static func lastReason(in path: String, from start: UInt64) -> String? {
    guard let file = FileHandle(forReadingAtPath: path) else { return nil }
    defer { try? file.close() }
    guard let end = try? file.seekToEnd(), end > start else { return nil }
    let from = max(start, end - min(end, window))
    guard (try? file.seek(toOffset: from)) != nil, let data = try? file.read(upToCount: Int(end - from)) else {
      return nil
    }
    return reason(in: String(decoding: data, as: UTF8.self))
  }

  static func reason(in text: String) -> String? {
    var lines = text.unicodeScalars.split { $0 == "\n" || $0 == "\r" }.map {
      String($0).trimmingCharacters(in: .whitespacesAndNewlines)
    }.filter { !$0.isEmpty }
    // The reason precedes the backtrace; if a trap printed none, its heading is all there is.
    let crash = lines.first { $0.contains("Program crashed: ") }
    if let backtrace = lines.firstIndex(where: beginsBacktrace) { lines.removeSubrange(backtrace...) }
    let line = lines.last.flatMap(withoutLogPrefix) ?? crash?.trimmingCharacters(in: CharacterSet(charactersIn: "*💣 "))
    return line.map { line in
      let isOutOfMemory = memoryFailures.contains { line.contains($0) }
      let shown = line.unicodeScalars.prefix(longestLine).map { $0.properties.generalCategory == .control ? " " : $0 }
      return String(String.UnicodeScalarView(shown)) + (line.unicodeScalars.count > longestLine ? "…" : "")
        + (isOutOfMemory ? " (no memory: use fewer threads or slots on this host)" : "")
    }
  }

  /// How C++, Swift's runtime and ZeroMQ say that they got no memory.
  private static let memoryFailures = ["std::bad_alloc", "Fatal error: failed to allocate ", "OUT OF MEMORY"]

  /// Swift's backtracer, its runtime where it cannot allocate, and glibc.
  private static func beginsBacktrace(_ line: String) -> Bool {
    line.contains(": Backtracing from ") || line.contains("Program crashed: ") || line == "Current stack trace:"
  }

  /// - Returns: nil for a line of the log proper that reports no error.
  private static func withoutLogPrefix(_ line: String) -> String? {
    guard let match = line.prefixMatch(of: #/\d{4}-\d\d-\d\dT\S+ (?<level>[a-z]+)( rank \d+)?: /#) else { return line }
    guard ["error", "critical"].contains(match.output.level) else { return nil }
    return String(line[match.range.upperBound...])
  }
}
