// What the machine knows of the run, as a value for those who show it.
import Shared
import Wire

extension CoordinatorMachine {
  package func status(at now: Duration) -> RunStatus {
    var status = RunStatus(run: settings.run)
    status.phase = phase(at: now)
    status.step = collector.next
    status.lastStep = settings.lastStep
    status.plan = settings.epoch.plan
    status.classes = settings.classes
    status.training = history.training
    status.lastExchange = history.last
    status.exchange = history.exchange
    status.generation = membership.generation.map {
      RunStatus.Ring(number: $0.number, startStep: $0.startStep, ranks: $0.members.map(\.identity.rank))
    }
    let lanes = Dictionary(
      (membership.generation?.members ?? []).map { ($0.identity, $0.lanes) }, uniquingKeysWith: { first, _ in first })
    status.workers = membership.all.map { worker in
      var shown = RunStatus.Worker(
        rank: worker.identity.rank, incarnation: worker.identity.incarnation, host: worker.hello.host)
      shown.isMember = lanes[worker.identity] != nil
      shown.lanes = lanes[worker.identity] ?? []
      let vitals = membership.detector[worker.identity.rank]
      shown.progress = vitals?.progress ?? Progress()
      shown.secondsPerLane = membership.balance[worker.identity.rank]?.seconds
      shown.silence = vitals.map { seconds(since: $0.heard, now) }
      shown.isSuspected = vitals?.isSuspected ?? false
      shown.dataLost = worker.dataLost
      return shown
    }
    status.checkpoint = membership.checkpoint.map { RunStatus.Checkpoint(step: $0) }
    status.exclusions = membership.clips.excluded.count
    if let evaluation, !evaluation.isDone {
      status.evaluation = RunStatus.Evaluation(
        step: evaluation.step, done: evaluation.done, clips: evaluation.clips, result: evaluation.counts)
    }
    status.lastEvaluation = evaluated.map { step, result in
      let clips = settings.evaluatedCount
      return RunStatus.Evaluation(step: step, done: clips, clips: clips, result: result)
    }
    status.best = membership.evaluations.best.map { step, figures in
      RunStatus.Evaluation(step: step, done: figures.clips, clips: figures.clips, result: figures.result)
    }
    status.lastWarning = lastWarning.map { event, time in
      RunStatus.Warning(level: event.level, text: event.text, age: seconds(since: time, now))
    }
    return status
  }

  private func phase(at now: Duration) -> RunStatus.Phase {
    if let evaluatedStep, evaluation?.isDone != true { return .evaluating(step: evaluatedStep) }
    return switch membership.phase {
    case .recovering: .recovering
    case .gathering: .gathering
    case .halting, .preparing: .reconfiguring
    case .running: .training
    case .paused:
      .paused(
        seconds: membership.pause.map { seconds(since: $0.since, now) } ?? 0,
        reason: membership.members.lazy.compactMap(\.dataLost).first ?? "")
    case .stopped: .ending
    }
  }

  private func seconds(since time: Duration, _ now: Duration) -> Double { max(.zero, now - time) / .seconds(1) }
}
