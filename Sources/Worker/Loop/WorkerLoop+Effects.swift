// How each effect of the worker's machine is performed; those of a step are in WorkerLoop+Step.swift.
import BLVNet
import Checkpoint
import Dataset
import Foundation
import Recipes
import Ring
import Shared
import Training
import Wire
import WorkerCore

extension WorkerLoop {
  /// - Returns: what became of it, where that is known at once.
  func perform(_ effect: WorkerEffect) throws -> WorkerEvent? {
    switch effect {
    case .send(let message): try link.send(message)
    case .introduce(let past): try link.send(.hello(hello(past)))
    case .connect(let number):
      log.warning("nothing was heard from the coordinator: connecting to it anew")
      try link.connect(number)
    case .ask(let request, let peer):
      if let peer { try peers.ask(peer, request) } else { try link.send(.blobRequest(request)) }
    case .doneAsking: peers.doneAsking()
    case .keep(let piece): try incoming.keep(piece)
    case .serve(let request, let peer):
      let (piece, bytes) = blobs.answer(request)
      served &+= UInt64(bytes?.count ?? 0)
      if let peer {
        try peers.answer(peer, piece, bytes)
      } else {
        try link.send(.blobPiece(piece), payload: bytes)
      }
    case .publish(let step): return try publish(step)
    case .withdraw(let steps): blobs.removeAll { name in !steps.contains { name.hasPrefix(StateBlobs.prefix($0)) } }
    case .begin(let welcome, let indexes): return try begin(welcome, indexes)
    case .keepState(let step): return training.map { .obtained(step: step, weights: $0.state.digest) }
    case .initialise:
      forgetSums()
      guard let training else { return nil }
      let state = training.state
      guard state.hasInitialModel || training.context.recipe.initial.sha256.isEmpty else {
        throw SharedError(
          .badData,
          "the run has to begin again from step 0, and its init.safetensors is gone or damaged: restore that file in the "
            + "run directory")
      }
      state.initialise()
      return .obtained(step: 0, weights: state.digest)
    case .load(let step, let model, let trainer): return try load(step, model, trainer)
    case .admit(let peers, let generation):
      if !peers.isEmpty { self.peers.admit(peers, generation: generation) }
    case .openRing(let generation): try openRing(generation)
    case .closeRing:
      ring?.abort()
      ring = nil
      peers.close()
    case .discardSums: forgetSums()
    case .compute(let step, let attempt, let lanes, let raised): return try compute(step, attempt, lanes, raised)
    case .retry(let step, let lane):
      if let training { training.work.retry(lane, step: step, on: training.pool) }
    case .probe(let clip): training?.probe.start(suspect: clip)
    case .reduce:
      try ring?.startAll()
      try pump()
    case .vote(let heard): try vote(heard)
    case .apply(let step, let skipping): return apply(step, skipping: skipping)
    case .evaluate(let task):
      if let training, let model = task.blobs.isEmpty ? training.model : beside { training.pool.submit(task, model) }
    case .loadBeside(let step, let blobs): return try loadBeside(step, blobs)
    case .forgetBeside: beside = nil
    case .log(.info, let text): log.info("\(text)")
    case .log(.warning, let text): log.warning("\(text)")
    case .log(.error, let text): log.error("\(text)")
    case .leave(let reason, let clean): leaving = (reason, clean)
    }
    return nil
  }

  private func hello(_ past: Hello.Past?) -> Hello {
    Hello(
      host: ProcessInfo.processInfo.hostName, pid: ProcessInfo.processInfo.processIdentifier,
      threads: settings.threads.all, endpoint: settings.advertise ?? peers.endpoint.description,
      fingerprint: Fingerprint.own, past: past)
  }

  private func forgetSums() {
    training?.pool.cancelAll()
    training?.work.forget()
  }

  // MARK: The run

  /// Makes everything that a run needs from the fetched indexes.
  private func begin(_ welcome: Welcome, _ indexes: [BlobDescription]) throws -> WorkerEvent? {
    let train: ClipIndex
    let validation: ClipIndex
    do {
      train = try index(indexes.first)
      validation = try index(indexes.dropFirst().first)
    } catch let error as DatasetError
      where error.status == .badData
    { return .damaged(reason: "an index was damaged on its way: \(error)") }
    let recipe = try Recipe(yaml: welcome.recipe, origin: "the coordinator's recipe")
    let context = try RunContext(
      recipe: recipe, train: train, validation: validation, lastStep: welcome.lastStep, dataPath: settings.dataPath,
      cache: settings.cache, isolatesDecoding: true)
    let state: TrainingState
    do { state = TrainingState(context, initial: try initialModel(indexes.dropFirst(2).first, context)) } catch let
      error as SharedError where error.status == .unavailable
    { return .damaged(reason: "\(error)") }
    let work = GradientWork(context)
    let feed = ClipFeed(context, threads: recipe.data.decodeThreads, lanes: recipe.batch.lanes)
    let pool = LanePool(
      context, threads: settings.threads, accumulator: work.accumulator, parameters: state.parameters,
      statistics: state.statistics, feed: feed
    ) { [wakeup] in wakeup.signal() }
    let probe = DataProbe(context) { [wakeup] in wakeup.signal() }
    training = Training(context: context, state: state, work: work, pool: pool, feed: feed, probe: probe)
    heartbeat.set(.seconds(recipe.faults.heartbeatSeconds), reconnectAfter: .seconds(recipe.faults.evictSeconds))
    let clips = "\(train.clips.count) training and \(validation.clips.count) validation clips"
    log.info("\(clips), \(context.network.layout.parameterCount) parameters")
    pool.submitSelfTest()
    return nil
  }

  /// Maps a fetched index from its file.
  private func index(_ blob: BlobDescription?) throws -> ClipIndex {
    guard let blob, let file = incoming.takeFile(blob.name) else {
      throw DatasetError(.badData, "it did not come")
    }
    let index = try ClipIndex(descriptor: file.descriptor, name: blob.name)
    guard index.digest == blob.digest else { throw DatasetError(.badData, "\(blob.name): its digest is another") }
    return index
  }

  /// The model that training starts from, which the coordinator alone needs as a file.
  /// - Throws: `SharedError(.unavailable)` if its bytes are not those that the recipe names.
  private func initialModel(_ blob: BlobDescription?, _ context: RunContext) throws -> InitialModel? {
    guard let blob else { return nil }
    let mapped = incoming.takeFile(blob.name).flatMap {
      // The mapping outlives the descriptor.
      try? Data(contentsOf: URL(fileURLWithPath: "/proc/self/fd/\($0.descriptor)"), options: .alwaysMapped)
    }
    guard let data = mapped, sha256Hex(data) == context.recipe.initial.sha256 else {
      throw SharedError(.unavailable, "the initial model was damaged on its way")
    }
    let initial = try InitialModel(SafeTensors(data, origin: blob.name), for: context.network, origin: blob.name)
    for line in initial.report { log.info("init: \(line)") }
    return initial
  }

  // MARK: The state

  private func load(_ step: UInt64, _ model: BlobDescription, _ trainer: BlobDescription) throws -> WorkerEvent? {
    guard let state = training?.state else { return nil }
    guard let weights = incoming.take(model), let rest = incoming.take(trainer) else {
      return .damaged(reason: "the state before step \(step) was damaged on its way")
    }
    forgetSums()
    if rest.isEmpty {
      try state.loadModel(weights, origin: StateBlobs.model(step), step: step)
    } else {
      try state.load(CheckpointFiles(model: weights, trainer: rest))
    }
    return .obtained(step: step, weights: state.digest)
  }

  /// Loads what is evaluated beside the present state.
  private func loadBeside(_ step: UInt64, _ blobs: [BlobDescription]) throws -> WorkerEvent? {
    guard let training else { return nil }
    var model = training.model
    for blob in blobs {
      guard let bytes = incoming.take(blob) else { return .damaged(reason: "'\(blob.name)' was damaged on its way") }
      if blob.name == StateBlobs.model(step) {
        model = try EvaluatedModel(training.context, bytes, origin: blob.name)
      } else {
        model = try model?.with(norms: bytes, training.context)
      }
    }
    beside = model
    return .besideLoaded
  }

  /// Encodes the state and puts it in the store. It takes little more time than copying it, which only this thread may
  /// do: no step can be applied meanwhile.
  private func publish(_ step: UInt64) throws -> WorkerEvent? {
    guard let state = training?.state, state.step == step else { return nil }
    let files = try state.files()
    return .published(
      step: step,
      blobs: [
        blobs.put(StateBlobs.model(step), files.model), blobs.put(StateBlobs.trainer(step), files.trainer),
      ])
  }
}
