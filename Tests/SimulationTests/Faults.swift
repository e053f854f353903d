// What can go wrong in a simulation, and when: drawn from the seed before it begins.

/// Something that happens to processes and wires.
enum Harm {
  case crash
  case pause(Nanoseconds)
  /// The main thread stands still, the heartbeats go on.
  case hang
  /// Memory: the reduced sum, or the own partial, has a flipped bit when the rank votes.
  case flipSum, flipPartial
  /// The state has a flipped bit when the rank takes it into another generation.
  case flipState
  /// A lane trains another clip than the step's.
  case mistakeClip
  /// Nothing passes between this worker and the coordinator, or a peer.
  case cutFromCoordinator(Nanoseconds)
  case cutFromPeer(Nanoseconds, oneWay: Bool)
  case crashCoordinator(down: Nanoseconds)
  case pauseCoordinator(Nanoseconds)
  /// A person stops the run; later somebody starts it again.
  case interrupt(down: Nanoseconds)
  /// All workers, or everything.
  case crashAll
  case powerCut(down: Nanoseconds)
  /// Somebody asks the worker to end, and insists after a while.
  case leave
  /// The data of a worker's host, or of all, cannot be read; reads may not even return.
  case dataLost(Nanoseconds, blocks: Bool, everywhere: Bool)
  /// A connection to the coordinator carries nothing any more, without a word.
  case deadConnection(heartbeat: Bool)
  /// A worker beyond those of the hosts file comes.
  case join
  /// A worker's host is down: whatever is started there ends at once.
  case hostDown(Nanoseconds)
  /// The next copy of a worker's state that the coordinator fetches is not its state.
  case spoilCopy
  /// No checkpoint can be written.
  case diskFull(Nanoseconds)
  /// Messages that nobody can believe, some in the name of a worker.
  case stranger(UInt64)
}

/// Places in the protocol at which a fault can strike.
enum Moment: Int, CaseIterable {
  // Of a worker.
  case computed, reduced, voted, applying, applied, halted, obtaining, prepared, begun, published, evaluating
  // Of the coordinator, about a worker where there is one.
  case halting, preparing, journaledGeneration, beginning, tookCommit, wroteCommit, wroteCheckpoint, ordered
  case journaledEvaluation
}

struct ScheduledFault {
  enum Trigger {
    case time(Nanoseconds)
    case moment(Moment, count: Int)
  }

  var trigger: Trigger
  var harm: Harm
  /// Where the trigger is a worker's moment: whether it strikes that worker, or another one.
  var strikesSubject: Bool
  var rank: Int
}

extension Int {
  var milliseconds: Nanoseconds { Nanoseconds(self) * 1_000_000 }
}

/// Everything that a seed decides beforehand.
struct Scenario {
  enum Launch {
    /// The coordinator starts workers on its own machine, or through ssh, or somebody else does.
    case local, remote, none
  }

  var ranks: Int
  var launch: Launch
  var threads: [Int] = []
  /// Nanoseconds that a lane takes, by rank.
  var laneTime: [Nanoseconds] = []
  var latency: Nanoseconds
  /// In thousandths of messages.
  var lost = 0
  var duplicated = 0
  var reordered = 0
  var damaged = 0
  /// What is sent into a cut arrives when it is mended, as with TCP, or never.
  var cutsHold: Bool
  /// What is sent to a coordinator that is not there arrives at the next one.
  var queuesForCoordinator: Bool
  /// Clips that some ranks cannot decode, so many times.
  var badClips: [Int: (ranks: Set<Int>, times: Int)] = [:]
  var lateRank: Int?
  /// A rank whose first clips take long, each for itself less than what counts as a hang.
  var slowRank: Int?
  /// Starts in a row before a rank counts as exhausted, and the longest wait between two.
  var restarts = Int.max / 2
  var longestWait = Duration.seconds(1)
  var faults: [ScheduledFault] = []

  /// No fault strikes after this time.
  static let horizon = 12_000.milliseconds

  /// - Parameter members: of a big cluster, to which less happens.
  init(_ random: inout SplitMix64, _ training: Training, members: Int? = nil) {
    ranks = members ?? random.between(1, 4)
    launch = random.pick([.local, .local, .remote, .none])
    latency = random.pick([50_000, 1_000_000, 1_000_000, 8_000_000])
    let laneCost = random.between(3, 40).milliseconds
    for _ in 0..<max(8, ranks + 2) {
      threads.append(random.between(1, 2))
      laneTime.append(laneCost * Nanoseconds(random.pick([10, 10, 10, 12, 30])) / 10)
    }
    cutsHold = random.chance(500)
    queuesForCoordinator = random.chance(500)
    if members != nil {
      addFewFaults(&random)
      return
    }
    switch random.below(10) {
    case 0..<4: break
    case 4..<7: (lost, duplicated, reordered, damaged) = (5, 20, 20, 5)
    case 7: (lost, duplicated, reordered, damaged) = (40, 0, 0, 10)
    case 8: (lost, duplicated, reordered, damaged) = (0, 150, 0, 0)
    default: (lost, duplicated, reordered, damaged) = (0, 0, 250, 0)
    }
    if random.chance(150) {
      for _ in 0..<random.between(1, 2) {
        let unable = random.chance(500) ? Set(0..<8) : Set((0..<8).filter { _ in random.chance(500) })
        badClips[random.below(training.clipCount)] = (unable, random.chance(700) ? .max : random.between(1, 3))
      }
    }
    if launch == .none, ranks > 1, random.chance(150) { lateRank = random.below(ranks) }
    if training.clipsPerLane > 1, random.chance(60) { slowRank = random.below(ranks) }
    if random.chance(300) { (restarts, longestWait) = (random.between(2, 5), .seconds(random.pick([1, 4, 60]))) }
    let count = random.pick([0, 1, 1, 2, 2, 3, 4, 6])
    // Faults that meet are the interesting ones.
    let start = random.between(0, 1500).milliseconds
    let window = random.pick([50, 500, 3000, 8000]).milliseconds
    for _ in 0..<count {
      let trigger: ScheduledFault.Trigger =
        random.chance(450)
        ? .moment(random.pick(Moment.allCases), count: random.between(1, 12))
        : .time(start + Nanoseconds(random.below(Int(window))))
      faults.append(
        ScheduledFault(
          trigger: trigger, harm: Self.harm(&random), strikesSubject: random.chance(600), rank: random.below(ranks)))
    }
  }

  private mutating func addFewFaults(_ random: inout SplitMix64) {
    latency = random.pick([50_000, 1_000_000])
    for _ in 0..<random.between(1, 3) {
      let harm: Harm =
        switch random.below(5) {
        case 0, 1: .crash
        case 2: .pause(random.pick([500, 5000]).milliseconds)
        case 3: .cutFromPeer(random.between(300, 5000).milliseconds, oneWay: false)
        default: .crashCoordinator(down: random.pick([500, 2000]).milliseconds)
        }
      faults.append(
        ScheduledFault(
          trigger: .time(random.between(500, 6000).milliseconds), harm: harm, strikesSubject: false,
          rank: random.below(ranks)))
    }
  }

  private static func harm(_ random: inout SplitMix64) -> Harm {
    func pause(_ random: inout SplitMix64) -> Nanoseconds {
      random.pick([500, 500, 1500, 3500, 5000, 20_000]).milliseconds
    }
    func cut(_ random: inout SplitMix64) -> Nanoseconds { random.between(300, 9000).milliseconds }
    func down(_ random: inout SplitMix64) -> Nanoseconds { random.pick([100, 500, 2000, 6000, 15_000]).milliseconds }
    switch random.below(143) {
    case 115..<121: return .hostDown(random.pick([300, 2000, 8000, 20_000]).milliseconds)
    case 121..<127: return .spoilCopy
    case 127..<132: return .diskFull(random.pick([300, 2000, 9000]).milliseconds)
    case 140..<143: return .flipState
    case 132..<140: return .stranger(random.next())
    case 100..<108:
      return .dataLost(
        random.pick([500, 3000, 9000, 30_000]).milliseconds, blocks: random.chance(300), everywhere: random.chance(400))
    case 108..<115: return .deadConnection(heartbeat: random.chance(300))
    case 0..<30: return .crash
    case 30..<45: return .pause(pause(&random))
    case 45..<48: return .hang
    case 48..<51: return .flipSum
    case 51..<53: return .flipPartial
    case 53: return .mistakeClip
    case 54..<60: return .cutFromCoordinator(cut(&random))
    case 60..<67: return .cutFromPeer(cut(&random), oneWay: random.chance(400))
    case 67..<80: return .crashCoordinator(down: down(&random))
    case 80..<86: return .pauseCoordinator(pause(&random))
    case 86..<90: return .interrupt(down: down(&random))
    case 90..<93: return .crashAll
    case 93..<95: return .powerCut(down: down(&random))
    case 95..<98: return .leave
    default: return .join
    }
  }
}
