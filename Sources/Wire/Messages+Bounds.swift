// Which messages are possible at all: every number, list and text is checked against bounds before it is used. Whether
// to accept a possible message, from this sender and now, is the receiver's decision.
import Shared

/// The bounds of a run's messages.
public struct MessageLimits: Hashable, Sendable {
  /// Lanes of a step.
  public var lanes: Int
  /// All ranks are below this number.
  public var ranks: Int
  /// Clips of the training index, and of the validation index.
  public var clips: Int
  public var validationClips: Int
  /// The step after which training ends. No state is before a later one.
  public var lastStep: UInt64
  /// Bytes of a blob that is announced.
  public var blobBytes: Int

  /// Bytes of a text.
  public static let textBytes = 4 << 10
  /// Bytes of a recipe.
  public static let recipeBytes = 256 << 10
  /// Entries of a dictionary.
  public static let entries = 64
  /// Ranks that a run can have.
  public static let ranks = 1 << 16
  /// Bytes of a blob of any run: few enough that a sum of several fits.
  public static let blobBytes = 1 << 40
  /// Steps, sequence numbers and counts of bytes: few enough that a sum of several fits.
  public static let count: UInt64 = 1 << 53

  /// Bounds that hold for every run.
  public static let anyRun = MessageLimits(
    lanes: 4096, clips: Int(Int32.max), validationClips: Int(Int32.max), lastStep: count)

  public init(
    lanes: Int, ranks: Int = MessageLimits.ranks, clips: Int, validationClips: Int, lastStep: UInt64,
    blobBytes: Int = MessageLimits.blobBytes
  ) {
    self.lanes = lanes
    self.ranks = ranks
    self.clips = clips
    self.validationClips = validationClips
    self.lastStep = min(lastStep, Self.count)
    self.blobBytes = blobBytes
  }
}

extension WorkerMessage {
  /// Why this message is impossible in the run; nil if it is possible.
  public func problem(in limits: MessageLimits) -> String? {
    switch self {
    case .hello(let hello): hello.problem(in: limits)
    case .heartbeat(let progress): progress.problem(in: limits)
    case .standing(let standing): standing.problem(in: limits)
    case .prepared(_, let step, _): limits.step(step)
    case .committed(let record): record.problem(in: limits)
    case .checkpointReady(let step, let blobs): first(limits.step(step), limits.blobs(blobs))
    case .evaluated(let task, let result): first(task.problem(in: limits), result.problem(in: limits))
    case .fault(let fault): fault.problem(in: limits)
    case .leaving: nil
    case .blobRequest(let request): limits.request(request.name, request.offset)
    case .blobPiece(let piece): piece.problem(in: limits)
    }
  }
}

extension CoordinatorMessage {
  /// Why this message is impossible in the run; nil if it is possible.
  public func problem(in limits: MessageLimits) -> String? {
    switch self {
    case .welcome(let welcome): welcome.problem(in: limits)
    case .dismiss(let reason, _): limits.text(reason, "reason")
    case .halt: nil
    case .prepare(_, let step, let source, let peers):
      first(limits.step(step), source.problem(in: limits), limits.peers(peers))
    case .begin(let generation): generation.problem(in: limits)
    case .acknowledged(let step), .checkpointTaken(let step): limits.step(step)
    case .pulse(let directives): limits.directives(directives)
    case .evaluate(let task):
      first(
        task.id.problem(in: limits),
        task.norms == .measured
          ? limits.list(task.clips, below: limits.clips, "clip")
          : limits.list(task.clips, below: limits.validationClips, "validation clip"))
    case .identify(let run): limits.text(run, "run")
    case .blobRequest(let request): limits.request(request.name, request.offset)
    case .blobPiece(let piece): piece.problem(in: limits)
    }
  }
}

/// The first problem, if there is one.
private func first(_ problems: String?...) -> String? { problems.lazy.compactMap(\.self).first }

// MARK: - Parts of messages

extension Hello {
  fileprivate func problem(in limits: MessageLimits) -> String? {
    let isLong = fingerprint.count > MessageLimits.entries
    return first(
      limits.text(host, "host"), pid > 0 ? nil : "process \(pid)",
      (1...MessageLimits.ranks).contains(threads) ? nil : "\(threads) threads", limits.endpoint(endpoint),
      isLong ? "a fingerprint of \(fingerprint.count) entries" : nil,
      fingerprint.keys.contains { limits.text($0, "") != nil } ? "a fingerprint with a long name" : nil,
      fingerprint.values.contains { limits.text($0, "") != nil } ? "a fingerprint with a long entry" : nil,
      past?.problem(in: limits))
  }
}

extension Hello.Past {
  fileprivate func problem(in limits: MessageLimits) -> String? {
    first(limits.text(run, "run"), limits.step(next ?? 0), limits.step(acknowledged))
  }
}

extension Progress {
  fileprivate func problem(in limits: MessageLimits) -> String? {
    first(
      limits.step(step), limits.amount(lanesDone, atMost: limits.lanes, "lanes"),
      waitingFor.flatMap { limits.rank($0) }, limits.text(dataLost ?? "", "reason"), limits.index(dataReport, "report"))
  }
}

extension StateReport {
  fileprivate func problem(in limits: MessageLimits) -> String? {
    first(
      limits.step(next ?? 0), limits.lanes(held), limits.text(dataLost ?? "", "reason"),
      limits.index(dataReport, "report"))
  }
}

extension CommitRecord {
  fileprivate func problem(in limits: MessageLimits) -> String? {
    first(
      step < limits.lastStep ? nil : "step \(step) of \(limits.lastStep)",
      clips > 0 ? nil : "a step without clips", limits.amount(clips, atMost: limits.clips, "clips"),
      limits.amount(top1, atMost: clips, "clips of the right class"),
      limits.amount(top5, atMost: clips, "clips of the right class"),
      loss.isFinite && learningRate.isFinite ? nil : "loss \(loss) at rate \(learningRate)",
      limits.lanes(share.lanes), limits.count(share.rawBytes, "bytes"), limits.count(share.wireBytes, "bytes"),
      share.times.problem)
  }
}

extension StepTimes {
  fileprivate var problem: String? {
    let all = [decodeWait, forward, backward, quantise, idle, overlap, reduce, vote, apply]
    return all.allSatisfy { (-1...1e9).contains($0) } ? nil : "times that cannot be"
  }
}

extension EvaluationTask.ID {
  fileprivate func problem(in limits: MessageLimits) -> String? {
    first(limits.step(step), limits.index(number, "task"))
  }
}

extension EvaluationResult {
  /// Each clip adds from 0 to `largestLoss`.
  fileprivate var hasPossibleLoss: Bool {
    let (whole, rest) = loss.quotientAndRemainder(dividingBy: Self.largestLoss)
    return loss >= 0 && (whole < clips || (whole == clips && rest == 0))
  }

  fileprivate func problem(in limits: MessageLimits) -> String? {
    // The clips of a task are few; which they are, the task says.
    let most = max(limits.clips, limits.validationClips)
    return first(
      limits.amount(clips, atMost: most, "clips of a task"),
      limits.amount(moments.count, atMost: MeasuredNorms.most, "statistics"),
      limits.amount(top1, atMost: clips, "clips of the right class"),
      limits.amount(top5, atMost: clips, "clips of the right class"),
      meanPrecision == nil ? nil : "a mean average precision of a part of the clips",
      hasPossibleLoss ? nil : "a loss of \(loss) over \(clips) clips",
      limits.amount(scores.count, atMost: clips, "clips with scores"),
      limits.list(scores.map(\.clip), below: limits.validationClips, "validation clip"),
      limits.amount(failed.count, atMost: most &- clips, "clips that failed"),
      failed.firstProblem { limits.text($0, "reason") })
  }
}

extension Fault {
  fileprivate func problem(in limits: MessageLimits) -> String? {
    // A fault must not end the run as a success.
    let isFailure = ExitStatus(rawValue: status) != nil && status != ExitStatus.done.rawValue
    return first(
      kind.problem(in: limits), limits.step(step), limits.text(text, "text"), isFailure ? nil : "status \(status)")
  }
}

extension Fault.Kind {
  fileprivate func problem(in limits: MessageLimits) -> String? {
    switch self {
    case .silentPeer(let rank), .closedLink(let rank): limits.rank(rank)
    case .corruption(let ranks): limits.list(ranks, below: limits.ranks, "rank")
    case .clip(let lane, let clip): first(limits.lanes([lane]), limits.clip(clip))
    case .dataLost(let report): limits.index(report, "report")
    case .nonFiniteGradient, .other: nil
    }
  }
}

extension Welcome {
  fileprivate func problem(in limits: MessageLimits) -> String? {
    first(
      limits.text(run, "run"), limits.text(recipe, "recipe", atMost: MessageLimits.recipeBytes), limits.blobs(blobs),
      limits.count(lastStep, "last step"))
  }
}

extension StateSource {
  fileprivate func problem(in limits: MessageLimits) -> String? {
    if case .peer(let endpoint) = self { limits.endpoint(endpoint) } else { nil }
  }
}

extension BlobPiece {
  fileprivate func problem(in limits: MessageLimits) -> String? {
    first(limits.request(name, offset), limits.blobs([description].compactMap(\.self)))
  }
}

extension Generation {
  /// Why this generation is impossible in the run; nil if it is possible. Also checks generations from a journal.
  public func problem(in limits: MessageLimits) -> String? {
    let ranks = Set(members.map(\.identity.rank))
    return first(
      limits.step(startStep), limits.step(endStep ?? 0),
      endStep.map { $0 > startStep } ?? true ? nil : "a generation that ends before it starts",
      number < 1 << 31 ? nil : "generation \(number)",
      limits.amount(reductions ?? 0, atMost: 1_000_000, "reductions of the rate"),
      rolledBack <= number ? nil : "generation \(number) that rolls back generation \(rolledBack)",
      limits.count(directivesDone, "directive"), limits.amount(members.count, atMost: limits.ranks, "members"),
      ranks.count == members.count ? nil : "a rank twice",
      members.firstProblem {
        first(limits.rank($0.identity.rank), limits.endpoint($0.endpoint), limits.lanes($0.lanes))
      },
      exclusions.firstProblem { first(limits.lanes([$0.lane]), limits.step($0.step), limits.clip($0.clip)) })
  }
}

extension MessageLimits {
  fileprivate func step(_ step: UInt64) -> String? { step <= lastStep ? nil : "step \(step) of \(lastStep)" }

  fileprivate func count(_ value: UInt64, _ what: String) -> String? { value <= Self.count ? nil : "\(what) \(value)" }

  fileprivate func index(_ value: Int, _ what: String) -> String? { value >= 0 ? nil : "\(what) \(value)" }

  fileprivate func amount(_ value: Int, atMost limit: Int, _ what: String) -> String? {
    value >= 0 && value <= limit ? nil : "\(value) \(what)"
  }

  fileprivate func clip(_ clip: Int) -> String? {
    (0..<clips).contains(clip) ? nil : "clip \(clip) of \(clips)"
  }

  fileprivate func rank(_ rank: Int) -> String? { (0..<ranks).contains(rank) ? nil : "rank \(rank)" }

  /// Each at most once.
  fileprivate func lanes(_ lanes: [Int]) -> String? { list(lanes, below: self.lanes, "lane") }

  fileprivate func list(_ numbers: [Int], below limit: Int, _ what: String) -> String? {
    guard numbers.count <= limit else { return "a list of \(numbers.count), each a \(what) below \(limit)" }
    if let wrong = numbers.first(where: { $0 < 0 || $0 >= limit }) { return "\(what) \(wrong) of \(limit)" }
    return Set(numbers).count == numbers.count ? nil : "a \(what) twice"
  }

  fileprivate func text(_ text: String, _ what: String, atMost limit: Int = MessageLimits.textBytes) -> String? {
    let length = text.utf8.count
    return length <= limit ? nil : "a \(what) of \(length) bytes"
  }

  /// Of the form `tcp://HOST:PORT`.
  fileprivate func endpoint(_ text: String) -> String? {
    guard text.utf8.count <= 300, text.hasPrefix("tcp://"), let colon = text.lastIndex(of: ":") else {
      return "an endpoint that is none"
    }
    let host = text[..<colon].dropFirst(6)
    let port = text[text.index(after: colon)...]
    let isHost =
      host.first == "["
      ? host.count > 2 && host.last == "]" && host.dropFirst().dropLast().utf8.allSatisfy(Self.isOfHost)
      : !host.isEmpty && host.utf8.allSatisfy { Self.isOfHost($0) && $0 != UInt8(ascii: ":") }
    let isPort = port.utf8.allSatisfy { (0x30...0x39).contains($0) } && (UInt16(port).map { $0 > 0 } ?? false)
    return isHost && isPort ? nil : "an endpoint that is none"
  }

  /// Letters, digits and the punctuation of names and addresses.
  private static func isOfHost(_ byte: UInt8) -> Bool {
    switch byte {
    case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: true
    default:
      [UInt8(ascii: "."), UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: ":"), UInt8(ascii: "%")].contains(byte)
    }
  }

  fileprivate func request(_ name: String, _ offset: Int) -> String? {
    text(name, "name") ?? amount(offset, atMost: Self.blobBytes, "as an offset")
  }

  fileprivate func blobs(_ blobs: [BlobDescription]) -> String? {
    guard blobs.count <= Self.entries else { return "\(blobs.count) blobs" }
    return blobs.firstProblem {
      first(text($0.name, "name"), amount($0.bytes, atMost: blobBytes, "bytes of a blob"))
    }
  }

  fileprivate func peers(_ peers: [Peer]) -> String? {
    guard peers.count <= ranks else { return "\(peers.count) peers" }
    return peers.firstProblem { first(rank($0.identity.rank), endpoint($0.endpoint)) }
  }

  fileprivate func directives(_ directives: [Directive]) -> String? {
    guard directives.count <= Self.entries else { return "\(directives.count) directives" }
    return directives.firstProblem { $0.sequence > 0 ? count($0.sequence, "directive") : "directive 0" }
  }
}

extension Sequence {
  fileprivate func firstProblem(_ problem: (Element) -> String?) -> String? {
    for element in self { if let found = problem(element) { return found } }
    return nil
  }
}
