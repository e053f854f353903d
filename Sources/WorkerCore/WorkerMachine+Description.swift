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
    if let fetch {
      let missing = fetch.blobs.request.map { ", waits for \($0.name) from byte \($0.offset)" } ?? ""
      lines.append(["fetch", "\(fetch.purpose) from \(fetch.peer ?? "the coordinator")\(missing)"])
    }
    if let dataLost { lines.append(["data", "lost: \(dataLost)"]) }
    return TextTable(lines).description
  }
}
