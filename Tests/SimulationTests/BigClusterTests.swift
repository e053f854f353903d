// Clusters of 64 and 256 members: that they train all the same, and what they cost the coordinator.
import Dispatch
import Foundation
import Messaging
import Shared
import Synchronization
import Testing
import Wire

/// The coordinator's messages, and their bytes on the wire. Pieces of blobs are left out.
struct Traffic {
  private(set) var messagesIn = 0
  private(set) var messagesOut = 0
  private(set) var bytesIn = 0
  private(set) var bytesOut = 0

  mutating func came(_ message: WorkerMessage) {
    messagesIn += 1
    bytesIn += Self.bytes(message)
  }

  mutating func went(_ message: CoordinatorMessage) {
    messagesOut += 1
    bytesOut += Self.bytes(message)
  }

  private static func bytes(_ message: some Encodable) -> Int {
    (try? ControlCodec.encode(message))?.reduce(0) { $0 + $1.count } ?? 0
  }

  static func += (sum: inout Traffic, other: Traffic) {
    sum.messagesIn += other.messagesIn
    sum.messagesOut += other.messagesOut
    sum.bytesIn += other.bytesIn
    sum.bytesOut += other.bytesOut
  }
}

extension SimulationTests {
  @Test("the invariants hold in clusters of 64 and 256 members", arguments: [(64, 20), (256, 2)])
  func bigClusters(members: Int, seeds: Int) {
    let found = Mutex<(failures: [(UInt64, String)], traffic: Traffic, events: Int, steps: Int)>(([], .init(), 0, 0))
    let processorBefore = clock()
    DispatchQueue.concurrentPerform(iterations: seeds) { seed in
      let world = World(seed: UInt64(seed), members: members)
      world.simulate()
      found.withLock {
        $0.traffic += world.traffic ?? Traffic()
        $0.events += world.eventCount
        $0.steps += world.disk.rows.count
        if let violation = world.violation { $0.failures.append((world.seed, violation)) }
      }
    }
    let (failures, traffic, events, steps) = found.withLock { $0 }
    let each = max(1, steps)
    let processor = Double(clock() - processorBefore) / Double(CLOCKS_PER_SEC)
    print(
      "\(members) members, \(steps) steps: \(events / each) events a step; at the coordinator a step "
        + "\(traffic.messagesIn / each) messages in, \(traffic.bytesIn / each) bytes, and \(traffic.messagesOut / each) "
        + "out, \(traffic.bytesOut / each) bytes; \(processor) s of processors")
    for (seed, violation) in failures.sorted(by: { $0.0 < $1.0 }) {
      Issue.record("seed \(seed) with \(members) members: \(violation)")
    }
  }
}
