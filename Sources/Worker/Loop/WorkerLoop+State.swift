// Getting the state, handing it on: indexes, states of peers, checkpoints.
import Checkpoint
import Foundation
import Shared

/// The names under which a state travels.
enum StateBlobs {
  static func prefix(_ step: UInt64) -> String { "state/\(step)/" }
  static func model(_ step: UInt64) -> String { prefix(step) + CheckpointFiles.modelName }
  static func trainer(_ step: UInt64) -> String { prefix(step) + CheckpointFiles.trainerName }
}

/// Blobs that are fetched one after the other, and what to do with them.
struct Fetch {
  var from: StateSource
  var waiting: [BlobFetch]
  var done: [Data] = []
  /// The generation and step that a state is wanted for; nil for the indexes.
  var purpose: (generation: UInt32, step: UInt64)?

  /// Bytes that have come.
  var bytes: Int { done.reduce(0) { $0 + $1.count } + (waiting.first?.request.offset ?? 0) }
}

extension WorkerLoop {
  func fetchIndexes(_ welcome: Welcome) throws {
    self.welcome = welcome
    try start(Fetch(from: .coordinator, waiting: welcome.blobs.map { BlobFetch($0.name) }))
  }

  func obtain(_ source: StateSource, _ generation: UInt32, _ step: UInt64) throws {
    guard let state else { return }
    switch source {
    case .own: try obtained(generation, step)
    case .initial:
      pool?.giveUp()
      work?.forget()
      withdrawCheckpoints()
      state.initialise()
      try obtained(generation, step)
    case .peer, .coordinator:
      try start(
        Fetch(
          from: source, waiting: [BlobFetch(StateBlobs.model(step)), BlobFetch(StateBlobs.trainer(step))],
          purpose: (generation, step)))
    }
  }

  private func obtained(_ generation: UInt32, _ step: UInt64) throws {
    guard let state else { return }
    try perform(session.obtained(generation: generation, step: step, weights: state.digest))
  }

  private func start(_ wanted: Fetch) throws {
    fetch = wanted
    try ask(wanted)
  }

  /// Asks for the piece that comes next; again each second, as an answer may be lost or the donor not be ready.
  func ask(_ fetch: Fetch) throws {
    guard let request = fetch.waiting.first?.request else { return }
    if case .peer(let endpoint) = fetch.from {
      try peers.ask(endpoint, request)
    } else {
      try link.send(.blobRequest(request))
    }
  }

  func took(_ piece: BlobPiece, _ payload: Data?) throws {
    guard var present = fetch, let waiting = present.waiting.first else { return }
    switch waiting.take(piece, payload) {
    case .more: try ask(present)
    case .notYet, .ignored: return
    case .failed(let reason):
      log.warning("\(reason); fetching it again")
      present.waiting[0] = BlobFetch(present.waiting[0].name)
      try start(present)
    case .done(let data):
      present.waiting.removeFirst()
      present.done.append(data)
      if present.waiting.isEmpty {
        fetch = nil
        peers.doneAsking()
        try fetched(present)
      } else {
        try start(present)
      }
    }
  }

  private func fetched(_ fetch: Fetch) throws {
    if let (generation, step) = fetch.purpose {
      pool?.giveUp()
      work?.forget()
      withdrawCheckpoints()
      if fetch.done[1].isEmpty {
        try state?.loadModel(fetch.done[0], origin: StateBlobs.model(step), step: step)
      } else {
        try state?.load(CheckpointFiles(model: fetch.done[0], trainer: fetch.done[1]))
      }
      try obtained(generation, step)
    } else if let welcome {
      let recipe = try Recipe(yaml: welcome.recipe, origin: "the coordinator's recipe")
      try begin(recipe, train: fetch.done[0], validation: fetch.done[1], lastStep: welcome.lastStep)
    }
  }

  // MARK: Handing on

  /// A peer asks for the present state: it is written out once, for all who ask.
  func shelveForPeers(_ name: String) throws {
    guard let state, case .prepared(let step, _) = session.phase, state.step == step,
      name.hasPrefix(StateBlobs.prefix(step)), shelf.description(name) == nil
    else { return }
    _ = try shelve(step)
  }

  func shelveCheckpoint(_ step: UInt64) throws {
    // While the coordinator has not taken the last but one, there is no sense in piling up more.
    guard let state, state.step == step, pendingCheckpoints.count < 2 || session.phase == .standing(stopped: true)
    else { return }
    let blobs = try shelve(step)
    pendingCheckpoints[step] = blobs
    try link.send(.checkpointReady(step: step, blobs: blobs))
  }

  private func shelve(_ step: UInt64) throws -> [BlobDescription] {
    guard let files = try state?.files() else { return [] }
    return [shelf.put(StateBlobs.model(step), files.model), shelf.put(StateBlobs.trainer(step), files.trainer)]
  }

  func takenCheckpoint(_ step: UInt64) {
    pendingCheckpoints = pendingCheckpoints.filter { $0.key > step }
    clearShelf()
  }

  /// Copies of a past that another's state replaces: its steps may have been rolled back, and settled anew.
  private func withdrawCheckpoints() {
    pendingCheckpoints = [:]
    clearShelf()
  }

  /// Lets go of every copy of the state but those that wait for the coordinator.
  func clearShelf() {
    shelf.removeAll { name in !pendingCheckpoints.keys.contains { name.hasPrefix(StateBlobs.prefix($0)) } }
  }
}
