// Which names of the hosts file mean this machine.
import Foundation
import Messaging

/// Whether workers of `host` are started here rather than through ssh: `localhost`, loopback addresses, and this
/// machine's own name. No name is looked up, and `user@host` always means ssh.
func isLocal(_ host: String, ownName: String = ProcessInfo.processInfo.hostName) -> Bool {
  if isLoopback(host: host) { return true }
  let name = host.lowercased()
  let own = ownName.lowercased()
  return !name.isEmpty && (name == own || name == own.prefix { $0 != "." })
}
