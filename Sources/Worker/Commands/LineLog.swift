// The worker's log: one line for each event on standard error, which the launcher redirects to a file.
import Foundation
import Logging

struct LineLog: LogHandler {
  let label: String
  var metadata: Logger.Metadata = [:]
  var logLevel = Logger.Level.info

  init(label: String) { self.label = label }

  subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  func log(event: LogEvent) {
    let time = Date.now.formatted(.iso8601)
    let rank = metadata["rank"].map { " rank \($0)" } ?? ""
    // A full disk must not end the worker.
    try? FileHandle.standardError.write(contentsOf: Data("\(time) \(event.level)\(rank): \(event.message)\n".utf8))
  }
}
