// What a membership's actions say, for its tests.
import Shared
import Wire

@testable import CoordinatorCore

func sent(_ actions: [Membership.Action]) -> [(WorkerIdentity, CoordinatorMessage)] {
  actions.compactMap { if case .send(let to, let message) = $0 { (to, message) } else { nil } }
}

/// Where each rank is told to take the state from.
func sources(_ actions: [Membership.Action]) -> [Int: StateSource] {
  var found: [Int: StateSource] = [:]
  for case (let to, .prepare(_, _, let source, _)) in sent(actions) { found[to.rank] = source }
  return found
}
