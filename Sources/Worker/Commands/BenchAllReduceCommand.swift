// `worker bench allreduce`: times the ring among several processes of this command.
import ArgumentParser
import BLVNet
import Foundation
import Glibc
import Messaging
import Recipes
import Ring
import Shared
import Wire

/// One rank of a ring that reduces random integers, over training's own sockets and ring session. It waits for a line
/// on standard input before each round, and prints a line of JSON after it.
struct BenchAllReduceCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "allreduce", abstract: "Times all-reduces among processes; start one for each rank.")

  @Option(help: "How many ranks the ring has.") var ranks: Int
  @Option(help: "This process's rank, from 0.") var rank: Int
  @Option(help: "Where this rank listens.") var listen: String
  @Option(help: "Where a rank listens; give one for each rank, in order, this one included.") var peer: [String]
  @Option(help: "Bytes to reduce: four for each Int32 value.") var bytes = 101_940_000
  @Option(help: "All-reduces in a round, after one that synchronises the ranks.") var repeats = 1
  @Option(help: "The compression of chunks: auto, lz4 or none.") var codec = ExchangeRecipe.Codec.auto
  @Flag(help: "Use the shared-memory transport between ranks on this machine.") var sharedMemory = false
  @Option(help: "Bits of the RMS of the sum over all lanes.") var gradientBits = 10
  @Option(help: "A folder of keys (`coordinator keygen`): the ranks encrypt, as in training. Default: they do not.")
  var keys: String?

  @Option(help: "Lanes in a step, divided among the ranks.") var lanes = 8
  @Option(help: "Threads that encode and add.") var threads = 1
  @Flag(help: "Leave out the vote.") var noVote = false
  @Option(help: "Reduce gradients of this recipe's network instead of random integers.") var recipe: String?

  func validate() throws {
    // Only the vote shows that all ranks have read what a neighbour overwrites next.
    guard !sharedMemory || !noVote || ranks <= 2 else {
      throw ValidationError("--shared-memory needs the vote among more than two ranks")
    }
    guard ranks >= 1, (0..<ranks).contains(rank), peer.count == ranks else {
      throw ValidationError("--rank counts from 0 to --ranks - 1, and --peer is given once for each")
    }
    guard (1...1 << 40).contains(bytes), (1...1_000_000).contains(repeats), (1...1024).contains(threads) else {
      throw ValidationError("--bytes must be from 1 to 2^40, --repeats from 1 to 1000000, --threads from 1 to 1024")
    }
    guard (ranks...max(ranks, 4096)).contains(lanes), (1...24).contains(gradientBits) else {
      throw ValidationError("--lanes must be from --ranks to 4096, --gradient-bits from 1 to 24")
    }
  }

  func run() throws {
    let partial: IntegerVectors
    if let recipe {
      partial = try gradients(try Recipe.read(path: recipe))
    } else {
      partial = IntegerVectors(gradientCount: max(1, bytes / 4), statisticCount: 0, shared: sharedMemory)
      fill(partial.gradients)
    }
    let bench = try AllReduceBench(self, partial)
    while readLine() != nil {
      let before = bench.counters
      var seconds: [Double] = []
      for turn in 0...repeats {
        let taken = try ContinuousClock().measure { try bench.reduce() } / .seconds(1)
        if turn > 0 { seconds.append(taken) }
      }
      try bench.finish()
      let after = bench.counters
      print(
        """
        {"bytes": \(4 * partial.gradients.count), "seconds": \(seconds), \
        "raw_bytes": \((after.rawBytes - before.rawBytes) / (repeats + 1)), \
        "wire_bytes": \((after.bytesSent - before.bytesSent) / (repeats + 1))}
        """)
      // The reader waits for this line before another program's turn.
      fflush(nil)
    }
  }

  /// Normally distributed, so that the sum over all lanes has an RMS of 2^gradientBits.
  private func fill(_ values: AlignedStorage<Int32>) {
    var random = Philox(seed: UInt64(rank), .selfTest)
    let deviation = exp2(Double(gradientBits)) / Double(ranks).squareRoot()
    for i in 0..<values.count {
      let radius = (-2 * log(1 - random.unit())).squareRoot() * deviation
      values[i] = Int32((radius * cos(2 * .pi * random.unit())).rounded())
    }
  }

  /// This rank's share of the lanes of the recipe's second step.
  private func gradients(_ recipe: Recipe) throws -> IntegerVectors {
    var recipe = recipe
    recipe.exchange.gradientBits = gradientBits
    let share = lanes / ranks
    let bench = try StepBench(
      recipe, try Network(recipe.model, engine: recipe.engine), threads: ComputeThreads(lanes: share),
      training: true, lanes: lanes, seed: UInt64(rank * share))
    for _ in 0..<2 { bench.step() }
    return bench.partial
  }
}

extension ExchangeRecipe.Codec: ExpressibleByArgument {}

/// The sockets and the session of one rank.
private final class AllReduceBench {
  private let peers: PeerLinks
  private let session: RingSession
  private let partial: IntegerVectors
  /// The sums of alternate steps. Without the vote, a rank may begin a step while its sockets still send sums of the
  /// one before, but not two steps later.
  private let vectors: [IntegerVectors]
  private let votes: Bool
  private var step: UInt64 = 0

  var counters: RingCounters { session.counters }

  init(_ command: BenchAllReduceCommand, _ partial: IntegerVectors) throws {
    self.partial = partial
    votes = !command.noVote
    vectors = (0..<(votes || command.ranks == 2 ? 1 : 2)).map { _ in
      IntegerVectors(
        gradientCount: partial.gradients.count, statisticCount: partial.statistics.count, shared: command.sharedMemory)
    }
    var settings = RingSettings()
    settings.codec = command.codec
    let plan = RingPlan(
      size: command.ranks, position: command.rank, gradientCount: partial.gradients.count,
      statisticCount: partial.statistics.count, settings: settings)
    session = RingSession(generation: 1, plan: plan, settings: settings)
    session.threads = command.threads
    let keys = command.keys.map { KeyFiles($0) }
    let security = try keys.map { Security.keys(own: try $0.worker(rank: command.rank), admitted: AdmittedKeys()) }
    let members = try command.peer.enumerated().map { rank, endpoint in
      Member(
        identity: WorkerIdentity(rank: rank, incarnation: 0), endpoint: endpoint, lanes: [rank],
        key: try keys?.worker(rank: rank).publicKey)
    }
    peers = try PeerLinks(
      MessagingContext(security ?? .none), members[command.rank].identity, listen: try Endpoint(command.listen))
    try peers.open(Generation(number: 1, startStep: 0, members: members), position: command.rank)
  }

  func reduce() throws {
    let sums = vectors[Int(step) % vectors.count]
    try session.begin(step: step, attempt: 0, partials: partial, sums: sums, now: .now)
    try session.startAll()
    try run { session.isReduced }
    if votes {
      let sum = sums.digestAndChecksum(threads: session.threads)
      session.offer(
        Ballot(
          rank: UInt32(session.plan.position), sumDigest: sum.digest,
          weightsDigest: Digest128(high: 0, low: 0), scalesDigest: 0,
          partialChecksum: partial.linearChecksum(threads: session.threads),
          sumChecksum: sum.linearChecksum, trainedClips: ClipPairs.none, expectedClips: ClipPairs.none,
          lanes: LaneSet([session.plan.position]), directive: 0))
      try run { session.ballots != nil }
      guard
        case .commit = Verdict.of(
          session.ballots ?? [], clips: Array(repeating: ClipPairs.none, count: session.plan.size))
      else {
        throw SharedError(.badData, "the ranks come to different sums")
      }
    }
    step += 1
  }

  /// Waits until the right neighbour has acknowledged everything.
  func finish() throws { try run { session.unacknowledgedSince == nil } }

  private func run(until isDone: () -> Bool) throws {
    while true {
      if let frame = session.nextToLeft() { try peers.sendLeft(frame) }
      while let frame = session.nextToRight(now: .now) { try peers.sendRight(frame) }
      if isDone() { return }
      let timeout = session.deadline.map { max(.zero, $0 - .now) }
      _ = try Poller.wait(for: peers.pollItems, timeout: timeout)
      var frames: [FrameMessage] = []
      while let arrival = try peers.next(drop: { _ in }) {
        switch arrival {
        case .fromLeft(let message): frames.append(message)
        case .fromRight(let message): session.receiveFromRight(message, now: .now)
        case .request, .piece: break
        }
      }
      try session.receiveFromLeft(frames, now: .now)
    }
  }
}
