// States that are functions of their step alone, so that a test knows what another process must have written.
import Checkpoint
import Foundation
import RunJournal
import Shared

/// Fixed contents for tests, by step.
public enum SampleState {
  static let parameters = [
    NamedTensor(name: "bn.weight", shape: [3], offset: 0, count: 3),
    NamedTensor(name: "conv.weight", shape: [32, 3, 3, 3], offset: 3, count: 864),
  ]
  static let statistics = [NamedTensor(name: "bn.running_mean", shape: [3], offset: 0, count: 3)]

  /// A checkpoint of a small network after `step` steps: 3.6 kB of model, 3.9 kB of trainer.
  public static func checkpoint(step: Int) -> CheckpointFiles {
    func numbers(_ count: Int, _ kind: UInt32) -> FloatStorage {
      var random = Philox(seed: UInt64(step), .selfTest, kind)
      return FloatStorage((0..<count).map { _ in Float(bitPattern: random.nextWord()) })
    }
    return TrainingStateCodec([
      StateSlot("parameters", .model, tensors: parameters, .floats(numbers(867, 1))),
      StateSlot("momentum", .trainer, prefix: "momentum.", tensors: parameters, .floats(numbers(867, 3))),
      StateSlot("statistics", .model, tensors: statistics, .floats(numbers(3, 2))),
      StateSlot(scales: AlignedStorage([-24, -20])),
    ]).encode(TrainerState(step: step, epoch: step / 3, seed: 7, recipeDigest: "recipe", indexDigest: "index"))
  }

  public static let clips = 6
  public static let time = Date(timeIntervalSince1970: 1_700_000_000)

  /// A run of 6 clips; step S consumes clips 2·(S mod 3) and the next.
  public static var run: RunRecord {
    RunRecord(
      identity: "id", name: "sample", seed: 7, recipeDigest: "recipe", indexDigest: "index", fingerprint: "f",
      clips: clips, stepsPerEpoch: 3, epochs: 100, createdAt: time)
  }

  /// A new journal at `path` with the run, its clips, a generation and the first three steps.
  public static func journal(_ path: String) throws -> Journal {
    let journal = try Journal(path, .create)
    let clips = (0..<clips).map {
      ClipRecord(clip: $0, id: "c\($0)", path: "c\($0).mp4", label: "a", bytes: 9, hash: "h")
    }
    try journal.beginRun(run, clips: clips, rejected: [])
    try journal.record(
      GenerationRecord(number: 1, startStep: 0, reason: "start", lanes: [0: [0, 1]], ring: [0], createdAt: time))
    try journal.recordCommits((0..<3).map(commit))
    return journal
  }

  public static func commit(_ step: Int) -> JournalCommit {
    let consumed = (0..<2).map { ConsumedClip(lane: $0, clip: 2 * (step % 3) + $0) }
    func digest(_ kind: String, _ step: Int) -> String {
      String(sha256Hex(Data("\(kind) \(step)".utf8)).prefix(32))
    }
    let record = StepRecord(
      step: step, epoch: step / 3, generation: 1, attempt: 0, digest: digest("sum", step),
      weightsDigest: digest("state", step), stateDigest: digest("state", step + 1), loss: 1.5 / Double(step + 1),
      top1: 1, top5: 2, clips: 2, learningRate: 0.1,
      gradientBits: 10, rawBytes: 1000 + step, wireBytes: 400 + step, ringSeconds: 0.25, computeSeconds: 1.5,
      decodeWaitSeconds: 0.125, reporter: step % 4, committedAt: time.addingTimeInterval(Double(step)))
    return JournalCommit(step: record, consumed: consumed)
  }
}
