// A worker's blobs: the state that it fetches, and those that it hands over.
import Shared
import Wire

extension WorkerMachine {
  mutating func obtain(_ source: StateSource, _ step: UInt64) {
    switch source {
    case .own: effects.append(.keepState(step: step))
    case .initial:
      withdrawAll()
      effects.append(.initialise)
    case .peer(let endpoint): start(StateFetch(step: step, peer: endpoint))
    case .coordinator: start(StateFetch(step: step, peer: nil))
    }
  }

  mutating func start(_ wanted: StateFetch) {
    fetch = wanted
    if wanted.blobs.isComplete { fetched(wanted) } else { askForPieces() }
  }

  mutating func askForPieces() {
    guard let requests = fetch?.blobs.requests() else { return }
    ask(for: requests)
  }

  mutating func ask(for requests: [BlobRequest]) {
    for request in requests { effects.append(.ask(request, peer: fetch?.peer)) }
  }

  mutating func took(_ piece: BlobPiece, _ payload: Int?) {
    guard let outcome = fetch?.blobs.take(piece, bytes: payload) else { return }
    switch outcome {
    case .ignored: return
    case .next(let keepsPayload):
      if keepsPayload { effects.append(.keep(piece)) }
      askForPieces()
    case .failed(let reason):
      effects.append(.log(.warning, "\(reason); fetching it again"))
      fetch?.blobs.restart()
      askForPieces()
    case .complete:
      effects.append(.keep(piece))
      if let fetch { fetched(fetch) }
    }
  }

  mutating func fetched(_ done: StateFetch) {
    let blobs = done.blobs.descriptions
    switch done.purpose {
    case .indexes:
      guard let welcome else { return }
      effects.append(.begin(welcome, indexes: blobs))
    case .state(let step):
      guard blobs.count == 2 else { return }
      effects.append(.doneAsking)
      withdrawAll()
      effects.append(.load(step: step, model: blobs[0], trainer: blobs[1]))
    case .evaluated(let step): effects.append(.loadBeside(step: step, blobs))
    }
  }

  // MARK: Serving the state

  /// A peer asks for the present state: it is encoded once, for all who ask.
  mutating func serve(_ request: BlobRequest, _ peer: Int) {
    if case .prepared(let step, _) = session.phase, published == nil || published?.step != step,
      request.name.hasPrefix(StateBlobs.prefix(step))
    {
      // The copy for a checkpoint will do, even while it is being encoded.
      let copy = pendingCheckpoints[step]
      if case .some(.some) = copy { published = (step, true) } else { published = (step, false) }
      if copy == nil { effects.append(.publish(step: step)) }
    }
    if let published, !published.isReady, request.name.hasPrefix(StateBlobs.prefix(published.step)) {
      // Answered once it is encoded. Peers ask again, so not all of their requests need be kept.
      if waitingPeers.count < 256 { waitingPeers.append((request, peer)) }
      return
    }
    effects.append(.serve(request, peer: peer))
  }

  /// - Parameter isAwaited: whether just this checkpoint is wanted: the run waits for it, or its state is evaluated.
  mutating func publishCheckpoint(_ step: UInt64, isAwaited: Bool) {
    // Do not pile up more copies while the coordinator has not taken the last but one.
    guard pendingCheckpoints.count < 2 || isAwaited, pendingCheckpoints[step] == nil else { return }
    pendingCheckpoints[step] = .some(nil)
    effects.append(.publish(step: step))
  }

  mutating func didPublish(_ step: UInt64, _ blobs: [BlobDescription]) {
    if pendingCheckpoints[step] != nil {
      pendingCheckpoints[step] = .some(blobs)
      effects.append(.send(.checkpointReady(step: step, blobs: blobs)))
    }
    if published?.step == step {
      published = (step, true)
      for (request, peer) in waitingPeers { effects.append(.serve(request, peer: peer)) }
      waitingPeers = []
    }
    // Its state was replaced, or the step is over, while it was being encoded.
    if pendingCheckpoints[step] == nil, published?.step != step { withdraw() }
  }

  mutating func withdrawForPeers() {
    guard published != nil else { return }
    published = nil
    waitingPeers = []
    withdraw()
  }

  /// Another's state replaces this worker's. The copies' steps may have been rolled back and committed differently.
  mutating func withdrawAll() {
    forgetEvaluations()
    pendingCheckpoints = [:]
    published = nil
    waitingPeers = []
    withdraw()
  }

  mutating func withdraw() {
    effects.append(.withdraw(except: (Array(pendingCheckpoints.keys) + [published?.step].compactMap { $0 }).sorted()))
  }
}
