// Messages that cannot be are told from those that can, before anybody computes with them.
import Foundation
import Shared
import Testing
import Wire

@Suite struct MessageBoundsTests {
  private static let limits = MessageLimits(lanes: 8, ranks: 16, clips: 100, validationClips: 50, lastStep: 1000)
  private static let digest = Digest128(high: 1, low: 2)
  private static let long = String(repeating: "x", count: 4097)

  private static var hello: Hello {
    Hello(
      host: "here", pid: 7, threads: 2, endpoint: "tcp://10.0.0.7:4711", fingerprint: ["kernel": "avx2"],
      past: Hello.Past(run: "r", number: 3, next: 1000, acknowledged: 999))
  }

  private static func hello(_ change: (inout Hello) -> Void) -> WorkerMessage {
    var hello = hello
    change(&hello)
    return .hello(hello)
  }

  private static func committed(_ change: (inout CommitRecord) -> Void = { _ in }) -> WorkerMessage {
    var record = CommitRecord(
      generation: 1, step: 999, attempt: 0, digest: digest, weights: digest, after: digest, loss: 1, top1: 1, top5: 2,
      clips: 16, learningRate: 0.1, skipped: false, share: .init(lanes: [0, 1]))
    change(&record)
    return .committed(record)
  }

  private static func evaluated(
    clips: Int, top1: Int = 0, failed: [String] = [], loss: Int64 = 0, scored: [Int] = [], precision: Int64? = nil
  ) -> WorkerMessage {
    var result = EvaluationResult()
    (result.clips, result.top1, result.failed, result.loss) = (clips, top1, failed, loss)
    result.scores = scored.map { ClipScores(clip: $0, values: [1]) }
    result.meanPrecision = precision
    return .evaluated(.init(step: 7, state: digest, number: 1), result)
  }

  private static func evaluation(_ number: Int, _ clips: [Int], step: UInt64 = 7) -> CoordinatorMessage {
    .evaluate(EvaluationTask(.init(step: step, state: digest, number: number), clips: clips))
  }

  @Test("a task that measures batch norms names training clips; the sums are read as they were written")
  func norms() throws {
    func task(_ clips: [Int]) -> CoordinatorMessage {
      .evaluate(EvaluationTask(.init(step: 7, state: Self.digest, number: 1), clips: clips, norms: .measured))
    }
    #expect(task([99]).problem(in: Self.limits) == nil && task([100]).problem(in: Self.limits) != nil)
    var result = EvaluationResult()
    (result.clips, result.moments) = (2, [.min, -1, 0, .max])
    var norms = MeasuredNorms()
    norms.add(result)
    #expect(MeasuredNorms(bytes: norms.bytes) == norms && norms.bytes.count == 40)
    for bytes in [[], norms.bytes.dropLast(), [UInt8](repeating: 0, count: 16), [UInt8](repeating: 255, count: 16)] {
      #expect(MeasuredNorms(bytes: Array(bytes)) == nil)
    }
    result.moments = Array(repeating: 0, count: MeasuredNorms.most + 1)
    #expect(
      WorkerMessage.evaluated(.init(step: 7, state: Self.digest, number: 1), result).problem(in: Self.limits) != nil)
  }

  private static func fault(_ kind: Fault.Kind, step: UInt64 = 5, status: Int32 = 65) -> WorkerMessage {
    var fault = Fault(kind: kind, generation: 1, step: step, text: "why")
    fault.status = status
    return .fault(fault)
  }

  private static func heartbeat(_ change: (inout Wire.Progress) -> Void) -> WorkerMessage {
    var progress = Wire.Progress()
    change(&progress)
    return .heartbeat(progress)
  }

  @Test("what workers say in a run is possible, to its very bounds")
  func possible() {
    let messages: [WorkerMessage] = [
      .hello(Self.hello), Self.hello { $0.endpoint = "tcp://[fe80::1]:1" }, Self.hello { $0.past = nil },
      Self.heartbeat { _ in },
      .standing(StateReport(generation: 1, next: 1000, held: Array(0..<8))),
      .prepared(generation: 1, step: 0, weights: Self.digest),
      Self.committed(), .checkpointReady(step: 7, blobs: [BlobDescription(name: "a", bytes: 5, digest: Self.digest)]),
      Self.evaluated(clips: 48, top1: 48, failed: ["one", "two"]), Self.fault(.other),
      Self.evaluated(clips: 2, loss: 2048 << 32, scored: [0, 49]),
      Self.fault(.clip(lane: 7, clip: 99)),
      Self.fault(.corruption(ranks: [0, 15])), .leaving, .blobRequest(BlobRequest(name: "a", offset: 0)),
      .blobPiece(BlobPiece(name: "a", offset: 3, description: nil)),
    ]
    for message in messages { #expect(message.problem(in: Self.limits) == nil, "\(message)") }
  }

  /// Each ended a coordinator, or worse.
  @Test(
    "the messages of the collected cases are refused",
    arguments: [
      hello { $0.past?.acknowledged = 1 << 63 }, hello { $0.past?.acknowledged = 1_000_000 },
      .standing(StateReport(generation: 1, next: .max)), committed { $0.step = .max }, committed { $0.step = 1000 },
      evaluated(clips: 1 << 62), fault(.other, status: 0), fault(.other, status: 7),
      .standing(StateReport(generation: 1, next: 3, held: [-1, 0, 1])), hello { $0.endpoint = "no endpoint" },
    ])
  func collected(message: WorkerMessage) throws {
    let problem = try #require(message.problem(in: Self.limits))
    #expect(!problem.contains("\n") && problem.utf8.count < 200)
  }

  @Test(
    "so is every other number, list and text that cannot be",
    arguments: [
      hello { $0.host = long }, hello { $0.pid = 0 }, hello { $0.pid = -1 }, hello { $0.threads = 0 },
      hello { $0.threads = .max }, hello { $0.past?.next = 1001 }, hello { $0.fingerprint = ["a": long] },
      hello { $0.fingerprint = Dictionary(uniqueKeysWithValues: (0..<65).map { ("\($0)", "") }) },
      hello { $0.endpoint = "tcp://host:0" }, hello { $0.endpoint = "tcp://host:65536" },
      hello { $0.endpoint = "tcp://:1" }, hello { $0.endpoint = "tcp://a b:1" },
      hello { $0.endpoint = "tcp://host:+1" },
      hello { $0.endpoint = "ipc:///tmp/x" }, hello { $0.endpoint = "tcp://host" },
      heartbeat { $0.step = .max }, heartbeat { $0.lanesDone = -1 }, heartbeat { $0.lanesDone = 9 },
      heartbeat { $0.waitingFor = -1 }, heartbeat { $0.waitingFor = 16 },
      .standing(StateReport(generation: 1, next: 3, held: [8])),
      .standing(StateReport(generation: 1, next: 3, held: [1, 1])),
      .prepared(generation: 1, step: 1001, weights: digest), committed { $0.clips = -1 }, committed { $0.clips = 101 },
      committed { $0.top1 = 17 }, committed { $0.top5 = -1 }, committed { $0.loss = .nan },
      committed { $0.learningRate = .infinity }, committed { $0.share.lanes = [0, 8] },
      committed { $0.share.rawBytes = .max }, committed { $0.share.wireBytes = 1 << 63 },
      committed { $0.share.times.apply = .infinity }, committed { $0.share.times.idle = .nan },
      committed { $0.share.times.vote = -5 },
      .checkpointReady(step: .max, blobs: []),
      .checkpointReady(step: 7, blobs: [BlobDescription(name: "a", bytes: -1, digest: digest)]),
      .checkpointReady(step: 7, blobs: [BlobDescription(name: "a", bytes: .max, digest: digest)]),
      .checkpointReady(step: 7, blobs: [BlobDescription(name: long, bytes: 1, digest: digest)]),
      .checkpointReady(
        step: 7, blobs: Array(repeating: BlobDescription(name: "a", bytes: 1, digest: digest), count: 65)),
      evaluated(clips: -1), evaluated(clips: 101), evaluated(clips: 3, top1: 4),
      evaluated(clips: 100, failed: ["one more"]), evaluated(clips: 2, loss: -1),
      evaluated(clips: 2, loss: 2048 << 32 + 1), evaluated(clips: 0, loss: 1), evaluated(clips: 50, loss: .max),
      evaluated(clips: 2, scored: [0, 0]), evaluated(clips: 2, scored: [50]), evaluated(clips: 1, scored: [0, 1]),
      evaluated(clips: 2, precision: 1), evaluated(clips: 2, scored: [-1]), evaluated(clips: -1, loss: .max),
      evaluated(clips: 1 << 62, loss: .min),
      evaluated(clips: 1, failed: [long]), .evaluated(.init(step: 0, state: nil, number: -1), EvaluationResult()),
      fault(.silentPeer(rank: -1)), fault(.closedLink(rank: 16)), fault(.corruption(ranks: [3, 3])),
      fault(.corruption(ranks: [-1])), fault(.clip(lane: 8, clip: 0)), fault(.clip(lane: 0, clip: 100)),
      fault(.clip(lane: 0, clip: -1)), fault(.other, step: 1 << 63),
      .blobRequest(BlobRequest(name: "a", offset: -1)), .blobRequest(BlobRequest(name: "a", offset: .max)),
      .blobRequest(BlobRequest(name: long, offset: 0)),
      .blobPiece(BlobPiece(name: "a", offset: .min, description: nil)),
      .blobPiece(
        BlobPiece(name: "a", offset: 0, description: BlobDescription(name: "a", bytes: -1, digest: digest))),
    ])
  func impossible(message: WorkerMessage) {
    #expect(message.problem(in: Self.limits) != nil)
  }

  @Test("no blob is announced that is larger than the run's can be")
  func blobs() {
    var limits = Self.limits
    limits.blobBytes = 100
    func ready(_ bytes: Int) -> WorkerMessage {
      let digest = Digest128(high: 0, low: 0)
      return .checkpointReady(step: 1, blobs: [BlobDescription(name: "state", bytes: bytes, digest: digest)])
    }
    #expect(ready(100).problem(in: limits) == nil)
    #expect(ready(101).problem(in: limits) != nil)
  }

  private static func generation(_ change: (inout Generation) -> Void = { _ in }) -> CoordinatorMessage {
    let members = [0, 1].map { rank in
      Member(
        identity: WorkerIdentity(rank: rank, incarnation: 5), endpoint: "tcp://h:\(rank + 1)", lanes: [rank, rank + 2])
    }
    var made = Generation(
      number: 3, startStep: 1000, members: members, exclusions: [ClipExclusion(step: 1000, lane: 7, clip: 99)],
      rolledBack: 3)
    change(&made)
    return .begin(made)
  }

  @Test("what a coordinator says is bounded too")
  func coordinator() {
    func peer(_ rank: Int, _ endpoint: String) -> Peer {
      Peer(
        identity: WorkerIdentity(rank: rank, incarnation: 1), endpoint: endpoint,
        key: PublicKey(String(repeating: "0f", count: 32))!)
    }
    let possible: [CoordinatorMessage] = [
      .welcome(Welcome(run: "r", recipe: String(repeating: "x", count: 100_000), blobs: [], lastStep: 5)),
      .dismiss(reason: "why", clean: true), .halt(generation: 1),
      .prepare(generation: 1, step: 1000, source: .peer(endpoint: "tcp://h:5")),
      .prepare(generation: 1, step: 0, source: .initial, peers: [peer(1, "tcp://h:5")]), Self.generation(),
      .acknowledged(step: 1000),
      .pulse([Directive(sequence: 1, kind: .stop)]), .checkpointTaken(step: 3),
      Self.evaluation(0, [0, 49]), .identify(run: "r"),
    ]
    for message in possible { #expect(message.problem(in: Self.limits) == nil, "\(message)") }
    let impossible: [CoordinatorMessage] = [
      .welcome(Welcome(run: Self.long, recipe: "", blobs: [], lastStep: 5)),
      .welcome(Welcome(recipe: "", blobs: [], lastStep: .max)), .dismiss(reason: Self.long, clean: true),
      .prepare(generation: 1, step: 1001, source: .initial),
      .prepare(generation: 1, step: 1, source: .peer(endpoint: "x")), Self.generation { $0.startStep = .max },
      .prepare(generation: 1, step: 1, source: .initial, peers: [peer(16, "tcp://h:5")]),
      .prepare(generation: 1, step: 1, source: .initial, peers: [peer(1, "h")]),
      Self.generation { $0.endStep = $0.startStep }, Self.generation { $0.endStep = .max },
      Self.generation { $0.number = .max }, Self.generation { $0.rolledBack = 4 },
      Self.generation { $0.directivesDone = .max }, Self.generation { $0.members[1].identity.rank = 0 },
      Self.generation { $0.members[0].identity.rank = -1 }, Self.generation { $0.members[0].endpoint = "" },
      Self.generation { $0.members[0].lanes = [-1] }, Self.generation { $0.exclusions[0].lane = 8 },
      Self.generation { $0.exclusions[0].clip = 100 }, Self.generation { $0.exclusions[0].step = .max },
      .acknowledged(step: .max), .pulse([Directive(sequence: .max, kind: .stop)]),
      .pulse(Array(repeating: Directive(sequence: 1, kind: .stop), count: 65)),
      Self.evaluation(0, [50]), Self.evaluation(0, [-1]),
      Self.evaluation(-1, []), Self.evaluation(0, [], step: .max), .identify(run: Self.long),
    ]
    for message in impossible { #expect(message.problem(in: Self.limits) != nil, "\(message)") }
  }
}
