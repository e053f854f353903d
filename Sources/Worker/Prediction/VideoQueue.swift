// Looks at many videos on all threads, and hands over what came of each in their order.
import BLVNet
import Foundation
import Shared

/// Threads that take videos one after the other.
///
/// With fewer videos than threads, several threads share a lane. The numbers are the same for any number of threads.
final class VideoQueue: @unchecked Sendable {
  /// A video's path, and what came of it. A failure may be of an argument that is no video.
  typealias Outcome = (path: String, result: Result<[ClipResult], any Error>)

  // Sendable because all that changes is only accessed with `condition` locked.
  private let condition = NSCondition()
  private var videos: VideoArguments
  private var taken = 0
  private var isEmpty = false
  private var done: [Int: Outcome] = [:]
  /// Only one thread waits for the list at a time.
  private let turn = NSLock()

  init(_ videos: VideoArguments, _ looking: VideoLooking, threads: Int) {
    self.videos = videos
    let lanes = max(1, min(threads, videos.count ?? threads))
    for number in 0..<lanes {
      startThread(named: "video \(number)") { [self] in
        work(looking, looking.lane(threads: max(1, threads / lanes)))
      }
    }
  }

  /// - Parameter use: called on this thread, in the order of the videos, as soon as that is possible.
  /// - Returns: how many there were.
  /// - Throws: what `use` throws.
  func forEach(_ use: (Outcome) throws -> Void) throws -> Int {
    var place = 0
    while let outcome = wait(for: place) {
      try use(outcome)
      place += 1
    }
    return place
  }

  /// - Returns: nil if there is no such video.
  private func wait(for place: Int) -> Outcome? {
    condition.lock()
    defer { condition.unlock() }
    while true {
      if let outcome = done.removeValue(forKey: place) { return outcome }
      if isEmpty, place >= taken { return nil }
      condition.wait()
    }
  }

  private func work(_ looking: VideoLooking, _ lane: Lane) {
    while let (place, entry) = take() {
      let outcome: Outcome =
        switch entry {
        case .success(let path): (path, Result { try looking.results(of: path, on: lane) })
        case .failure(let problem): ("", .failure(problem))
        }
      condition.withLock {
        done[place] = outcome
        condition.broadcast()
      }
    }
  }

  private func take() -> (Int, VideoArguments.Entry)? {
    turn.lock()
    defer { turn.unlock() }
    // The list may be slow to come: whoever waits for results must not wait for it.
    var next = condition.withLock { videos }
    let entry = next.next()
    return condition.withLock {
      videos = next
      isEmpty = entry == nil
      condition.broadcast()
      guard let entry else { return nil }
      taken += 1
      return (taken - 1, entry)
    }
  }
}
