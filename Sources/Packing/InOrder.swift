// Work that many threads do, and whose results are used one after the other.
import Foundation
import Shared

/// Makes results on several threads, and passes them on in the order of their numbers, on the calling thread.
///
/// Sendable because the lock guards everything that changes.
final class InOrder<Value: Sendable>: @unchecked Sendable {
  private let lock = NSCondition()
  private let end: Int
  /// Results that are made ahead of their use, at most.
  private let window: Int
  private var next: Int
  private var used: Int
  private var made: [Int: Result<Value, any Error>] = [:]
  private var isStopped = false

  init(_ numbers: Range<Int>, threads: Int) {
    (next, used, end) = (numbers.lowerBound, numbers.lowerBound, numbers.upperBound)
    window = 2 * threads
  }

  /// - Throws: the error of the first number that has one, or of `use`.
  static func forEach(
    _ numbers: Range<Int>, threads: Int, make: @escaping @Sendable (Int) throws -> Value,
    use: (Int, Value) throws -> Void
  ) throws {
    let work = InOrder(numbers, threads: threads)
    let group = DispatchGroup()
    for thread in 0..<min(threads, numbers.count) {
      group.enter()
      startThread(named: "pack \(thread)") {
        while let number = work.takeNumber() { work.put(number, Result { try make(number) }) }
        group.leave()
      }
    }
    // Nobody works on when this returns.
    defer {
      work.stop()
      group.wait()
    }
    for number in numbers { try use(number, work.take(number).get()) }
  }

  private func takeNumber() -> Int? {
    lock.lock()
    defer { lock.unlock() }
    while !isStopped, next < end, next - used >= window { lock.wait() }
    guard !isStopped, next < end else { return nil }
    next += 1
    return next - 1
  }

  private func put(_ number: Int, _ result: Result<Value, any Error>) {
    lock.lock()
    defer { lock.unlock() }
    made[number] = result
    lock.broadcast()
  }

  private func take(_ number: Int) -> Result<Value, any Error> {
    lock.lock()
    defer { lock.unlock() }
    while true {
      if let result = made.removeValue(forKey: number) {
        used = number + 1
        lock.broadcast()
        return result
      }
      lock.wait()
    }
  }

  private func stop() {
    lock.lock()
    defer { lock.unlock() }
    isStopped = true
    lock.broadcast()
  }
}
