// The links between workers that were found broken.
import Shared
import Wire

/// From one worker to its right neighbour.
struct Link: Hashable {
  var from: WorkerIdentity
  var to: WorkerIdentity
}

struct BrokenLinks {
  private var since: [Link: Duration] = [:]

  var all: Set<Link> { Set(since.keys) }

  func contains(_ link: Link) -> Bool { since[link] != nil }

  mutating func add(_ link: Link, at now: Duration) { since[link] = now }

  mutating func remove(_ worker: WorkerIdentity) {
    since = since.filter { $0.key.from != worker && $0.key.to != worker }
  }

  /// A link may have been mended after a minute.
  mutating func expire(at now: Duration) { since = since.filter { now - $0.value < .seconds(60) } }

  /// The worker with the most broken links; of several, the one with the highest rank.
  func worst(of workers: [WorkerIdentity]) -> WorkerIdentity? {
    let counts = Dictionary(since.keys.flatMap { [$0.from, $0.to] }.map { ($0, 1) }, uniquingKeysWith: +)
    return workers.max { a, b in
      let (first, second) = (counts[a] ?? 0, counts[b] ?? 0)
      return first != second ? first < second : a.rank < b.rank
    }
  }
}
