// Writes the demo's data set: a folder of video files in the Kinetics layout. `DemoScene` decides what the clips show.
import Dispatch
import Foundation
import Synchronization

/// A demo data set: short H.264 clips of classes that only time tells apart.
///
/// Layout: `DIR/train/CLASS NAME/ID_000000_000002.mp4`, `DIR/validation/...`, `DIR/train.csv`, `DIR/validation.csv`.
public enum DemoDataSet {
  /// Writes the data set to `folder`: the same bytes for the same counts and seed. Blocks while it computes on
  /// `threads` threads, so call it from a thread of your own.
  ///
  /// Complete data is left as it is. Incomplete data of an interrupted run is replaced.
  /// - Parameters:
  ///   - training: how many clips the training list gets.
  ///   - validation: how many clips the validation list gets.
  ///   - progress: called after each clip, on any of the threads, but one call at a time.
  /// - Returns: false if the data was there already.
  /// - Throws: `DemoDataError` if the folder holds other data, cannot be written, or the encoder is missing.
  @discardableResult
  public static func write(
    _ set: DemoSet = .motion, to folder: String, training: Int, validation: Int, seed: UInt64,
    threads: Int = ProcessInfo.processInfo.activeProcessorCount,
    progress: @escaping @Sendable (_ done: Int, _ total: Int) -> Void = { _, _ in }
  ) throws -> Bool {
    precondition(training >= 0 && validation >= 0 && threads > 0, "counts of clips and threads cannot be negative")
    let folder = DemoFolder(
      path: folder, contents: set.stamp + "training \(training)\nvalidation \(validation)\nseed \(seed)\n")
    guard try folder.begin() else { return false }
    let train = (0..<training).map { set.clip(.train, $0) }
    let validate = (0..<validation).map { set.clip(.validation, $0) }
    let clips = train + validate
    for path in Set(clips.map(\.folder)) { try folder.makeFolder(path) }

    let work = DemoWork(count: clips.count, progress: progress)
    DispatchQueue.concurrentPerform(iterations: threads) { _ in
      while let next = work.next() {
        work.finish { try folder.write(clips[next].encoded(seed: seed), to: clips[next].path) }
      }
    }
    if let failure = work.failure { throw failure }

    let header = "label,youtube_id,time_start,time_end,split,is_cc\n"
    try folder.write(Data((header + train.map { $0.row + "\n" }.joined()).utf8), to: "train.csv")
    try folder.write(Data((header + validate.map { $0.row + "\n" }.joined()).utf8), to: "validation.csv")
    try folder.end()
    return true
  }
}

/// The clips still to be written. Threads take them until one fails.
private final class DemoWork: Sendable {
  private struct State {
    var next = 0
    var done = 0
    var failure: (any Error)?
  }

  private let state = Mutex(State())
  private let count: Int
  private let progress: @Sendable (Int, Int) -> Void

  init(count: Int, progress: @escaping @Sendable (Int, Int) -> Void) {
    self.count = count
    self.progress = progress
  }

  var failure: (any Error)? { state.withLock { $0.failure } }

  func next() -> Int? {
    state.withLock { state in
      guard state.next < count, state.failure == nil else { return nil }
      state.next += 1
      return state.next - 1
    }
  }

  func finish(_ body: () throws -> Void) {
    let result = Result { try body() }
    state.withLock { state in
      switch result {
      case .success:
        state.done += 1
        progress(state.done, count)
      case .failure(let error): state.failure = state.failure ?? error
      }
    }
  }
}
