import CoordinatorCore
import Foundation
import Recipes
import Shared
import Testing
import Wire

@testable import Coordinator

@Suite struct StatusTextTests {
  private func training() -> RunStatus {
    var status = RunStatus(run: "r")
    status.phase = .training
    (status.step, status.lastStep, status.plan) = (23, 45, StepPlan(stepsPerEpoch: 10))
    var training = RunStatus.Training()
    (training.clips, training.top1, training.loss) = (48, 9, 1.23456)
    (training.clipsPerSecond, training.secondsPerStep) = (12.34, 5)
    status.training = training
    var member = RunStatus.Worker(rank: 0, incarnation: 1, host: "h")
    member.isMember = true
    status.workers = [member, RunStatus.Worker(rank: 1, incarnation: 2, host: "h")]
    status.lastExchange = RunStatus.Exchange(rawBytes: 1000, wireBytes: 400)
    return status
  }

  @Test("the progress line is a function of the status")
  func progressLine() {
    var status = training()
    #expect(
      status.progressLine
        == "epoch 3/5  step 23/45  loss 1.235  top-1 18.8 %  12.3 clips/s  left 1 min 50 s  workers 1  wire 2.50x")
    status.lastExchange = RunStatus.Exchange(rawBytes: 0, wireBytes: 400)
    #expect(status.progressLine.hasSuffix("workers 1  sums in memory"))
    status.lastExchange = RunStatus.Exchange()
    #expect(status.progressLine.hasSuffix("workers 1  wire -"))
    #expect(!status.endsEpoch)
    // One step has no pace.
    status.training?.clipsPerSecond = 0
    status.training?.secondsPerStep = 0
    #expect(status.progressLine.contains("  - clips/s  left -  "))
    status.step = 20
    #expect(status.endsEpoch && status.progressLine.hasPrefix("epoch 2/5  step 20/45"))
  }

  @Test("while a state is evaluated, the progress line counts validation clips")
  func evaluation() {
    var status = training()
    var counts = EvaluationResult()
    counts.clips = 31
    status.evaluation = RunStatus.Evaluation(step: 20, done: 32, clips: 48, result: counts)
    #expect(status.progressLine == "validation  31/48 clips")
  }

  @Test("status says whether a coordinator runs, and the command that goes on where none does and something is left")
  func coordinator() {
    var status = training()
    let command = "coordinator train --recipe 'my run/recipe.yaml' --run-dir 'my run' --workers HOSTS_FILE"
    func line(_ holder: String? = nil, stopsEarly: Bool = false) -> String {
      status.coordinatorLine(holder, stopsEarly: stopsEarly, directory: "my run")
    }
    #expect(line("pid 7 on h") == "coordinator: running (pid 7 on h)")
    #expect(line() == "coordinator: none; to go on: \(command)")
    #expect(
      line(stopsEarly: true) == "coordinator: none; training has ended: the last validations found no better model")
    // The last state must be on the disk.
    status.step = 45
    status.checkpoint = RunStatus.Checkpoint(step: 40)
    #expect(line() == "coordinator: none; to go on: \(command)")
    status.checkpoint = RunStatus.Checkpoint(step: 45)
    #expect(line() == "coordinator: none; all steps are done")
  }

  @Test("a run that its validations ended early has nothing left to do")
  func stopsEarly() {
    var recipe = Recipe()
    (recipe.validation.everyEpochs, recipe.validation.stopAfter) = (1, 1)
    func figures(_ top1: Int) -> ValidationFigures {
      ValidationFigures(clips: 9, top1: top1, top5: 9, loss: 1, state: nil)
    }
    var status = training()
    status.step = 20
    #expect(status.stopsEarly(recipe, ValidationHistory([10: figures(5), 20: figures(4)])))
    #expect(!status.stopsEarly(recipe, ValidationHistory([10: figures(5), 20: figures(6)])))
    #expect(!status.stopsEarly(recipe, ValidationHistory([10: figures(5)])))
  }

  @Test("what `coordinator status` prints is a function of the status")
  func status() {
    var status = training()
    status.training?.clips = 16
    status.training?.top1 = 4
    status.generation = RunStatus.Ring(number: 7, startStep: 20, ranks: [0, 1], reason: "start")
    status.phase = .paused(seconds: 75, reason: "worker 0: gone")
    status.exchange = RunStatus.Exchange(rawBytes: 1000, wireBytes: 500, ringSeconds: 1.26)
    status.checkpoint = RunStatus.Checkpoint(step: 20, path: "runs/r/checkpoints/step-20")
    var result = EvaluationResult()
    (result.clips, result.top1, result.top5) = (48, 12, 24)
    status.lastEvaluation = RunStatus.Evaluation(step: 20, done: 48, clips: 48, result: result)
    #expect(
      status.lines(rolledBack: 2, lastCommit: Date(timeIntervalSince1970: 0)) == [
        "steps: 23 of 45 (epoch 3 of 5), 2 rolled back",
        "last step: loss 1.235, top-1 25.0 %, at 1970-01-01T00:00:00Z",
        "generation 7: ranks 0 1, since step 20 (start)", "paused for 1 min 15 s: worker 0: gone",
        "workers now: 0 on h, 1 on h",
        "exchange: 500 bytes on the wire, 2.00 x compressed, 1.3 s in the ring",
        "newest checkpoint: runs/r/checkpoints/step-20",
        "validation at step 20: top-1 25.0 %, top-5 50.0 % of 48 clips",
      ])
    // Workers are gone when all is done, and missing before.
    status.workers = []
    #expect(status.lines(rolledBack: 0, lastCommit: nil).contains("workers now: none"))
    status.step = 45
    status.checkpoint = RunStatus.Checkpoint(step: 45)
    #expect(!status.lines(rolledBack: 0, lastCommit: nil).contains { $0.hasPrefix("workers now") })
    // With five classes, all are among the first five.
    status.classes = 5
    #expect(
      status.lines(rolledBack: 0, lastCommit: nil).last == "validation at step 20: top-1 25.0 % of 48 clips")
    // At the end of an epoch, and before the first step, as the progress line counts.
    for (step, words) in [(UInt64(20), "epoch 2 of 5"), (0, "epoch 1 of 5"), (45, "epoch 5 of 5")] {
      status.step = step
      #expect(status.lines(rolledBack: 0, lastCommit: nil)[0] == "steps: \(step) of 45 (\(words))")
      #expect(status.progressLine.hasPrefix(words.replacing(" of ", with: "/")))
    }
  }
}
