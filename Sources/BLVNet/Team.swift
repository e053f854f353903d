// Threads that work together: those of one lane share its layers.
import CKernels
import Dispatch
import Shared
import Synchronization

/// A fixed number of threads, the caller's among them, that do one thing at a time together.
///
/// In a lane, what comes out must not depend on how many there are, to the bit.
public final class Team: Sendable {
  public let count: Int
  private let shared: Shared

  /// Starts all threads but the caller's; they end when the team goes.
  public init(_ count: Int) {
    precondition(count > 0, "a team of \(count)")
    self.count = count
    let shared = Shared(helpers: count - 1)
    self.shared = shared
    for helper in 0..<count - 1 {
      startThread(named: "team \(helper + 1)") { shared.help(helper) }
    }
  }

  deinit { shared.dismiss() }

  /// Calls `body` with each thread's number, on that thread; the first is the caller. Returns when all are done.
  public func run(_ body: (Int) -> Void) {
    guard count > 1 else { return body(0) }
    withoutActuallyEscaping(body) { body in
      // Threads keep out of one another's way, and all are done before this returns.
      nonisolated(unsafe) let body = body
      shared.begin { unsafe body($0) }
      unsafe body(0)
      shared.finish()
    }
  }

  /// Parts `count` things among the threads, in runs of `unit`: `body` gets a thread's run and its number.
  func part(_ count: Int, by unit: Int = 1, _ body: (Range<Int>, Int) -> Void) {
    run { thread in
      let range = Self.part(thread, of: self.count, count, by: unit)
      if !range.isEmpty { body(range, thread) }
    }
  }

  /// One of `parts` parts of `count` things, in runs of `unit` and as even as can be.
  static func part(_ number: Int, of parts: Int, _ count: Int, by unit: Int = 1) -> Range<Int> {
    let units = (count + unit - 1) / unit
    return units * number / parts * unit..<min(count, units * (number + 1) / parts * unit)
  }

  /// How many of `count` things a call may have to do with: all, or what `part` makes of them.
  func parts(_ count: Int) -> Set<Int> {
    Set([count] + (0..<self.count).map { Self.part($0, of: self.count, count).count }).subtracting([0])
  }

  /// Threads that have fallen asleep, the caller's counted.
  var asleep: Int { shared.asleep }

  /// What the threads know of one another. They keep it alive, not the team: so that the team can go.
  private final class Shared: Sendable {
    private let body = Mutex<(@Sendable (Int) -> Void)?>(nil)
    private let generation = Atomic<Int>(0)
    private let running = Atomic<Int>(0)
    private let dismissed = Atomic<Bool>(false)
    private let helpers: [Sleeper]
    private let caller = Sleeper()

    init(helpers: Int) { self.helpers = (0..<helpers).map { _ in Sleeper() } }

    var asleep: Int { (helpers + [caller]).count { $0.isAsleep.load(ordering: .sequentiallyConsistent) } }

    func begin(_ work: @escaping @Sendable (Int) -> Void) {
      body.withLock { $0 = work }
      running.store(helpers.count, ordering: .relaxed)
      generation.wrappingAdd(1, ordering: .sequentiallyConsistent)
      for helper in helpers { helper.wake() }
    }

    func finish() {
      caller.sleep { running.load(ordering: .sequentiallyConsistent) == 0 }
      body.withLock { $0 = nil }
    }

    func dismiss() {
      dismissed.store(true, ordering: .relaxed)
      generation.wrappingAdd(1, ordering: .sequentiallyConsistent)
      for helper in helpers { helper.wake() }
    }

    func help(_ number: Int) {
      _ = tamring_enter_lane_mode()
      var seen = 0
      while true {
        helpers[number].sleep { generation.load(ordering: .sequentiallyConsistent) != seen }
        seen += 1
        if dismissed.load(ordering: .relaxed) { return }
        body.withLock { $0 }?(number + 1)
        if running.wrappingSubtract(1, ordering: .sequentiallyConsistent).newValue == 0 { caller.wake() }
      }
    }
  }
}

/// A thread that waits for others: for a moment by looking again and again, as what a layer takes is short; then
/// asleep.
private final class Sleeper: Sendable {
  let isAsleep = Atomic<Bool>(false)
  private let bed = DispatchSemaphore(value: 0)

  /// Returns when `ready`, which others make true before they call `wake`.
  func sleep(until ready: () -> Bool) {
    // Some 50 microseconds.
    for _ in 0..<2000 {
      if ready() { return }
      tamring_pause()
    }
    while !ready() {
      isAsleep.store(true, ordering: .sequentiallyConsistent)
      // Whoever takes the word back before us has rung, or will.
      if ready(), isAsleep.exchange(false, ordering: .sequentiallyConsistent) { return }
      bed.wait()
    }
  }

  func wake() {
    if isAsleep.exchange(false, ordering: .sequentiallyConsistent) { bed.signal() }
  }
}
