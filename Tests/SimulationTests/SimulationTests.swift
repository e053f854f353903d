// A hundred thousand seeds of a simulated world in which everything goes wrong, and the invariants that hold all the
// same. One seed again, with what happened: TAMRING_SEED=N and the filter `SimulationTests.replay`.
import Dispatch
import Foundation
import Synchronization
import Testing

@Suite struct SimulationTests {
  static func number(_ name: String) -> UInt64? {
    ProcessInfo.processInfo.environment[name].flatMap { UInt64($0) }
  }

  /// What happened last, before the violation, and the machines' states then.
  private static func report(_ world: World, lines: Int) -> String {
    let trace = (world.trace ?? []).suffix(lines).joined(separator: "\n")
    return """
      \(trace)

      \(world.table)

      seed \(world.seed): \(world.violation ?? "all is well")
      again: TAMRING_SEED=\(world.seed) swift test -c release -Xswiftc -enable-testing \
      --filter SimulationTests.replay
      """
  }

  @Test("the invariants hold through every interleaving that the seeds give")
  func seeds() {
    let count = Int(Self.number("TAMRING_SEEDS") ?? 100_000)
    let first = Self.number("TAMRING_FIRST_SEED") ?? 0
    let piece = 250
    let next = Atomic<Int>(0)
    let found = Mutex<(failures: [(UInt64, String)], statistics: World.Statistics, events: Int)>(([], .init(), 0))
    let started = ContinuousClock.now
    let processorBefore = clock()
    DispatchQueue.concurrentPerform(iterations: ProcessInfo.processInfo.activeProcessorCount) { _ in
      while true {
        let start = next.wrappingAdd(piece, ordering: .relaxed).oldValue
        guard start < count, found.withLock({ $0.failures.count < 5 }) else { return }
        var statistics = World.Statistics()
        var events = 0
        for seed in start..<min(start + piece, count) {
          let world = World(seed: first &+ UInt64(seed))
          world.simulate()
          statistics += world.statistics
          events += world.eventCount
          if let violation = world.violation { found.withLock { $0.failures.append((world.seed, violation)) } }
        }
        found.withLock {
          $0.statistics += statistics
          $0.events += events
        }
      }
    }
    let (failures, statistics, events) = found.withLock { $0 }
    let processor = Double(clock() - processorBefore) / Double(CLOCKS_PER_SEC)
    print(
      "\(min(next.load(ordering: .relaxed), count)) seeds, \(events) events in \(ContinuousClock.now - started), "
        + "\(processor) s of processors: \(statistics)")
    for (seed, violation) in failures { print("seed \(seed): \(violation)") }
    guard let (seed, violation) = failures.min(by: { $0.0 < $1.0 }) else {
      if count >= 2000 { #expect(statistics.neverHappened == [], "the seeds do not reach what they are to test") }
      return
    }
    let world = World(seed: seed, traced: true)
    world.simulate()
    Issue.record("\(violation)\n\(Self.report(world, lines: 60))")
  }

  @Test("one seed again", .enabled(if: number("TAMRING_SEED") != nil))
  func replay() throws {
    let world = World(seed: try #require(Self.number("TAMRING_SEED")), traced: true)
    world.simulate()
    print("\(world.training)\n\(world.scenario)")
    print(Self.report(world, lines: Int(Self.number("TAMRING_LINES") ?? 100_000)))
    #expect(world.violation == nil)
  }
}
