// Where a run is, in one immutable value. The progress line, `coordinator status`, and whatever else shows a run are
// made from it and from `RunEvent`s. The machine fills in what it knows, whoever shows it adds the rest, and a run that
// is not led from here is described from its journal. What is not known is nil, or empty.
import Shared
import Wire

package struct RunStatus: Equatable, Sendable {
  package enum Phase: Equatable, Sendable {
    /// The journal says all that is known.
    case unknown
    /// The coordinator was started again, and looks for the workers that went on without it.
    case recovering
    /// Waiting for workers.
    case gathering
    /// A generation is being made.
    case reconfiguring
    case training
    /// No worker can read its data, for so many seconds.
    case paused(seconds: Double, reason: String)
    /// The state before this step is evaluated.
    case evaluating(step: UInt64)
    /// No more is trained: the last checkpoint is written, and everybody is dismissed.
    case ending
  }

  /// The steps of the present epoch, and the pace of the last ones.
  package struct Training: Equatable, Sendable {
    /// Over the epoch's steps so far.
    package var clips = 0
    package var top1 = 0
    package var loss = 0.0
    package var learningRate = 0.0
    package var clipsPerSecond = 0.0
    package var secondsPerStep = 0.0

    package init() {}
  }

  /// A generation.
  package struct Ring: Equatable, Sendable {
    package var number: UInt32
    package var startStep: UInt64
    /// In the order of the ring.
    package var ranks: [Int]
    /// Where the journal tells it.
    package var reason: String?

    package init(number: UInt32, startStep: UInt64, ranks: [Int], reason: String? = nil) {
      self.number = number
      self.startStep = startStep
      self.ranks = ranks
      self.reason = reason
    }
  }

  package struct Worker: Equatable, Sendable {
    package var rank: Int
    package var incarnation: UInt64
    package var host: String
    /// Whether it is a member of the generation, and with which lanes.
    package var isMember = false
    package var lanes: [Int] = []
    /// What its last heartbeat said.
    package var progress = Progress()
    /// Seconds that it needs for a lane.
    package var secondsPerLane: Double?
    /// Seconds since it was last heard.
    package var silence: Double?
    package var isSuspected = false
    /// Why it can read none of its data, while that is so.
    package var dataLost: String?

    package init(rank: Int, incarnation: UInt64, host: String) {
      self.rank = rank
      self.incarnation = incarnation
      self.host = host
    }
  }

  package struct Checkpoint: Equatable, Sendable {
    package var step: UInt64
    package var path: String?
    /// Seconds since it was written.
    package var age: Double?

    package init(step: UInt64, path: String? = nil, age: Double? = nil) {
      self.step = step
      self.path = path
      self.age = age
    }
  }

  /// Bytes of gradients: what they are uncompressed, and what went over the wire.
  package struct Exchange: Equatable, Sendable {
    package var rawBytes: UInt64 = 0
    package var wireBytes: UInt64 = 0
    package var ringSeconds = 0.0

    package init(rawBytes: UInt64 = 0, wireBytes: UInt64 = 0, ringSeconds: Double = 0) {
      self.rawBytes = rawBytes
      self.wireBytes = wireBytes
      self.ringSeconds = ringSeconds
    }

    static func += (sum: inout Exchange, other: Exchange) {
      func add(_ a: UInt64, _ b: UInt64) -> UInt64 { a.addingReportingOverflow(b).overflow ? .max : a + b }
      sum.rawBytes = add(sum.rawBytes, other.rawBytes)
      sum.wireBytes = add(sum.wireBytes, other.wireBytes)
      sum.ringSeconds += other.ringSeconds
    }
  }

  package struct Evaluation: Equatable, Sendable {
    package var step: UInt64
    /// Clips whose result is here, those that could not be decoded included; and all.
    package var done: Int
    package var clips: Int
    /// Sums over the clips that are done.
    package var result: EvaluationResult

    package init(step: UInt64, done: Int, clips: Int, result: EvaluationResult) {
      self.step = step
      self.done = done
      self.clips = clips
      self.result = result
    }
  }

  /// The newest event of level warning or above, so many seconds ago.
  package struct Warning: Equatable, Sendable {
    package var level: RunEvent.Level
    package var text: String
    package var age: Double

    package init(level: RunEvent.Level, text: String, age: Double) {
      self.level = level
      self.text = text
      self.age = age
    }
  }

  /// The identity of the run.
  package var run: String
  package var phase = Phase.unknown
  /// Committed steps, of how many, and how they are cut into epochs.
  package var step: UInt64 = 0
  package var lastStep: UInt64 = 0
  package var plan = StepPlan(stepsPerEpoch: 1)
  /// Classes of the data, or some number above five.
  package var classes = Int.max
  package var training: Training?
  package var generation: Ring?
  package var workers: [Worker] = []
  package var checkpoint: Checkpoint?
  /// Of the last step, and of all steps that are counted.
  package var lastExchange: Exchange?
  package var exchange = Exchange()
  /// Clips that steps go without.
  package var exclusions = 0
  /// The one that goes on, and the last that was finished.
  package var evaluation: Evaluation?
  package var lastEvaluation: Evaluation?
  /// Of the best model so far.
  package var best: Evaluation?
  package var lastWarning: Warning?

  package init(run: String) { self.run = run }

  /// The epoch of the last committed step, from 0; of the first before there is one.
  package var epoch: Int { step == 0 ? 0 : plan.epoch(of: step - 1) }

  /// The last may be cut short.
  package var epochs: Int { plan.epochs(ofSteps: lastStep) }

  /// Whether the last committed step was the last of its epoch.
  package var endsEpoch: Bool { step > 0 && plan.endsEpoch(step - 1) }

  /// Seconds that the remaining steps take at the present pace.
  package var secondsLeft: Double? {
    guard let pace = training?.secondsPerStep, pace > 0 || step >= lastStep else { return nil }
    return pace * Double(lastStep - min(step, lastStep))
  }

  package var members: [Worker] { workers.filter(\.isMember) }
}
