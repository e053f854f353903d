// What others wrote, as a screen, a log, a journal or a page may show it.

/// The text without what could act on a terminal or hide something: control characters, marks that change the direction
/// of writing and characters without a width are shown by their number. A long one loses its middle: what went wrong
/// often stands at the end.
/// - Parameter most: characters, at least 100; reasons with two paths in them are some 300.
public func readable(_ text: String, atMost most: Int = 500) -> String {
  var kept = String.UnicodeScalarView()
  for scalar in text.unicodeScalars {
    switch scalar.properties.generalCategory {
    case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate, .privateUse, .unassigned:
      kept.append(contentsOf: "\\u{\(String(scalar.value, radix: 16))}".unicodeScalars)
    default: kept.append(scalar)
    }
  }
  let whole = String(kept)
  return whole.count <= most ? whole : "\(whole.prefix(most - 80)) … \(whole.suffix(77))"
}

extension WorkerMessage {
  /// The same message with readable texts.
  public var withReadableText: WorkerMessage {
    switch self {
    case .hello(var hello):
      hello.host = readable(hello.host, atMost: 200)
      // Compared with others', so nothing of it may be lost.
      hello.fingerprint = Dictionary(
        hello.fingerprint.map { (readable($0.key, atMost: .max), readable($0.value, atMost: .max)) },
        uniquingKeysWith: { first, _ in first })
      return .hello(hello)
    case .heartbeat(var progress):
      progress.dataLost = progress.dataLost.map { readable($0) }
      return .heartbeat(progress)
    case .standing(var report):
      report.dataLost = report.dataLost.map { readable($0) }
      return .standing(report)
    case .evaluated(let task, var result):
      result.failed = result.failed.map { readable($0) }
      return .evaluated(task, result)
    case .fault(var fault):
      fault.text = readable(fault.text)
      return .fault(fault)
    case .prepared, .committed, .checkpointReady, .leaving, .blobRequest, .blobPiece: return self
    }
  }
}
