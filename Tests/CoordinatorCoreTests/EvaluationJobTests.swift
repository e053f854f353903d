import Shared
import Testing
import Wire

@testable import CoordinatorCore

@Suite struct EvaluationJobTests {
  private let workers = (0..<3).map { WorkerIdentity(rank: $0, incarnation: 1) }
  private let state = Digest128(high: 7, low: 7)

  private func job(clips: Int) -> EvaluationJob {
    EvaluationJob(step: 5, state: state, clips: Array(0..<clips), clipsPerTask: 4, deadline: .seconds(10))
  }

  private func result(_ task: EvaluationTask, top1: Int = 0, top5: Int = 0) -> EvaluationResult {
    var result = EvaluationResult()
    (result.clips, result.top1, result.top5) = (task.clips.count, top1, top5)
    return result
  }

  @Test("every clip is evaluated once, also when a worker is lost")
  func lostWorker() throws {
    var job = job(clips: 10)
    let assigned = job.tasks(for: workers[0], atOnce: 1, at: .zero)
    let first = try #require(assigned.first)
    #expect(assigned.count == 1 && job.tasks(for: workers[0], atOnce: 1, at: .zero) == [first])
    #expect(job.tasks(for: workers[0], atOnce: 3, at: .zero).map(\.id.number) == [0, 1, 2])
    job.lost(workers[0])
    var done: [Int] = []
    while let task = job.tasks(for: workers[1], atOnce: 1, at: .zero).first {
      done += task.clips
      #expect(job.take(task.id, result(task), from: workers[1]) == .counted)
    }
    #expect(job.take(first.id, result(first), from: workers[0]) == .ignored)
    #expect(done == Array(0..<10))
    #expect(job.isDone && job.total.clips == 10 && job.done == 10)
  }

  @Test("a task that is not answered by its deadline is given to another worker too, and counts once")
  func deadline() throws {
    var job = job(clips: 3)
    let task = try #require(job.tasks(for: workers[0], atOnce: 2, at: .zero).first)
    #expect(job.tasks(for: workers[1], atOnce: 2, at: .seconds(10)).isEmpty)
    #expect(job.tasks(for: workers[1], atOnce: 2, at: .seconds(11)) == [task])
    #expect(job.tasks(for: workers[2], atOnce: 2, at: .seconds(20)).isEmpty, "the second worker has time as well")
    job.lost(workers[1])
    #expect(job.tasks(for: workers[2], atOnce: 2, at: .seconds(20)) == [task])
    #expect(job.take(task.id, result(task, top5: 1), from: workers[0]) == .counted)
    #expect(job.take(task.id, result(task, top5: 3), from: workers[2]) == .ignored)
    #expect(job.isDone && job.total.top5 == 1)
    #expect(job.assigned(to: workers[2]) == nil)
  }

  @Test("the mean average precision is that of all scores, in whatever order the tasks are answered")
  func precision() throws {
    let scores: [[Float]] = [[3, 0], [2, 5], [1, 4], [0, 1], [9, 9]]
    let classes = [[0], [0, 1], [0], [1], [1]]
    // Clip 4 cannot be decoded. By class 0 the clips 0, 1, 2 come first: 1. Class 1 has the clips 1, 3, third: (1 +
    // 2/3) / 2.
    let expected = AveragePrecision.mean([AveragePrecision.one, (AveragePrecision.one * 5 + 3) / 6])
    for order in [[0, 1], [1, 0]] {
      var job = EvaluationJob(
        step: 5, state: state, clips: Array(0..<5), clipsPerTask: 3, scoredClasses: 2, classesOfClip: { classes[$0] },
        deadline: .seconds(10))
      let tasks = job.tasks(for: workers[0], atOnce: 2, at: .zero)
      for number in order {
        var result = EvaluationResult()
        for clip in tasks[number].clips {
          if clip == 4 {
            result.failed.append("clip 4")
          } else {
            result.clips += 1
            result.scores.append(ClipScores(clip: clip, values: scores[clip]))
          }
        }
        #expect(tasks[number].wantsScores && job.take(tasks[number].id, result, from: workers[0]) == .counted)
      }
      #expect(job.total.meanPrecision == expected)
    }
  }

  @Test("batch norms are measured first, each group once; then the clips are evaluated with their sums")
  func measured() throws {
    var job = EvaluationJob(
      step: 5, state: state, measuring: [[7, 3], [1, 9], [4]], clips: [0, 2], clipsPerTask: 1, deadline: .seconds(10))
    func groups(_ worker: Int, at time: Duration = .zero) -> [EvaluationTask] {
      job.tasks(for: workers[worker], atOnce: 5, at: time)
    }
    let first = groups(0)
    #expect(
      first.map(\.clips) == [[7, 3], [1, 9], [4]] && first.allSatisfy { $0.norms == .measured && !$0.wantsScores })
    #expect(groups(1).isEmpty, "no clip is evaluated before all groups are measured")
    func measured(_ clips: Int, _ moments: [Int64], failed: [String] = []) -> EvaluationResult {
      var result = EvaluationResult()
      (result.clips, result.moments, result.failed) = (clips, moments, failed)
      return result
    }
    #expect(job.take(first[1].id, measured(1, [10, 20], failed: ["9"]), from: workers[0]) == .counted)
    // The last group goes to another worker, as the first one died.
    job.lost(workers[0])
    #expect(groups(1).map(\.clips) == [[7, 3], [4]])
    for wrong in [measured(2, [1]), measured(2, []), measured(0, [1, 2], failed: ["7", "3"])] {
      guard case .refused = job.take(first[0].id, wrong, from: workers[1]) else {
        Issue.record("\(wrong) was taken")
        continue
      }
    }
    #expect(job.take(first[0].id, measured(2, [1, -2]), from: workers[1]) == .counted)
    let last = job.take(first[2].id, measured(0, [], failed: ["4"]), from: workers[1])
    guard case .measured(let norms) = last else { return #expect(Bool(false), "\(last)") }
    #expect(norms.clips == 3 && norms.sums == [11, 18] && job.done == 0 && job.unmeasuredClips == ["9", "4"])
    let tasks = groups(2)
    #expect(tasks.map(\.clips) == [[0], [2]] && tasks.allSatisfy { $0.norms == .precise })
    #expect(tasks.map(\.blobs) == [[StateBlobs.norms(5)], [StateBlobs.norms(5)]])
    for task in tasks { #expect(job.take(task.id, result(task, top5: 1), from: workers[2]) == .counted) }
    #expect(job.isDone && job.total.clips == 2 && job.total.top5 == 2 && job.total.failed.isEmpty)
    #expect(job.total.moments.isEmpty)
  }

  @Test("a result that its task cannot have, or of another state, is not counted")
  func bounds() throws {
    var job = job(clips: 4)
    let task = try #require(job.tasks(for: workers[0], atOnce: 1, at: .zero).first)
    func refused(_ result: EvaluationResult) -> Bool {
      if case .refused = job.take(task.id, result, from: workers[0]) { true } else { false }
    }
    #expect(refused(EvaluationResult()))
    #expect(refused(result(task, top1: 5, top5: 5)))
    #expect(refused(result(task, top1: 2, top5: 1)))
    var fewer = result(task)
    (fewer.clips, fewer.failed) = (-1, ["a", "b", "c", "d", "e"])
    #expect(refused(fewer))
    var other = task.id
    other.state = Digest128(high: 8, low: 8)
    #expect(job.take(other, result(task), from: workers[0]) == .ignored)
    other = task.id
    other.step = 6
    #expect(job.take(other, result(task), from: workers[0]) == .ignored)
    #expect(job.take(task.id, result(task), from: workers[1]) == .ignored, "it was not asked")
    #expect(!job.isDone && job.total == EvaluationResult())
  }
}
