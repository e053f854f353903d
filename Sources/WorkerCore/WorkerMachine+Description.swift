// A worker's state as a table, for whoever looks for a fault.
import Shared

extension WorkerMachine: CustomStringConvertible {
  package var description: String {
    let step = session.next.map(String.init) ?? "none"
    let lanes = session.lanes.isEmpty ? "none" : session.lanes.map(String.init).joined(separator: " ")
    var lines = [
      ["worker", "\(identity.rank), incarnation \(identity.incarnation)"],
      ["phase", "\(session.phase)"],
      ["generation", "\(session.number), lanes \(lanes)"],
      ["step", "\(step), attempt \(session.attempt)\(session.frozen ? ", sum frozen" : "")"],
      ["reports", "\(session.records.count) not acknowledged"],
      ["directives", "done to \(session.directivesDone), held to \(session.directiveHeld)"],
    ]
    if let fetch, let blob = fetch.blobs.next {
      let source = fetch.peer ?? "the coordinator"
      lines.append(["fetch", "\(blob.name) from byte \(blob.offset), from \(source)"])
    }
    if let dataLost { lines.append(["data", "lost: \(dataLost)"]) }
    return TextTable(lines).description
  }
}
