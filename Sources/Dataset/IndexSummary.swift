// The figures about an index that a person wants to see before training: what is in it, and what is wrong with it.
import Shared

/// How often each of some values occurs. So many different values are counted, and the others together.
public struct Tally: Sendable, Equatable {
  private static let most = 4096

  private var counts: [String: Int] = [:]
  /// Of values that came when there were enough already.
  public private(set) var others = 0

  public init() {}

  public mutating func add(_ value: String, _ times: Int = 1) {
    if counts[value] == nil, counts.count >= Self.most { others += times } else { counts[value, default: 0] += times }
  }

  /// Different values.
  public var count: Int { counts.count }

  /// The values, the most frequent first, then in the order of their bytes.
  public var sorted: [(value: String, count: Int)] {
    counts.sorted { $0.value != $1.value ? $0.value > $1.value : precedesInUTF8($0.key, $1.key) }
      .map { ($0.key, $0.value) }
  }
}

/// The figures about the clips of one index.
public struct IndexSummary: Sendable {
  public private(set) var clips = 0
  public private(set) var seconds = 0.0
  /// Clips whose files do not say how many frames a second has.
  public private(set) var untimed = 0
  /// Clips that are a part of their file.
  public private(set) var parts = 0
  /// Clips whose files are decoded from the beginning.
  public private(set) var fromStart = 0
  public private(set) var fewestFrames = Int.max
  public private(set) var mostFrames = 0
  public private(set) var sizes = Tally()
  public private(set) var rates = Tally()
  public private(set) var codecs = Tally()
  /// Clips of each class. One of several classes counts for each of them.
  public private(set) var classes: [Int]

  public init(of index: ClipIndex) {
    classes = [Int](repeating: 0, count: index.classes.count)
    var summary = self
    index.forEach { _, clip in summary.add(clip) }
    self = summary
  }

  private mutating func add(_ clip: ClipEntry) {
    clips += 1
    seconds += clip.seconds
    if clip.frameRate == 0 { untimed += 1 }
    if clip.first > 0 { parts += 1 }
    if !clip.isProved { fromStart += 1 }
    fewestFrames = min(fewestFrames, clip.frames)
    mostFrames = max(mostFrames, clip.frames)
    sizes.add(clip.width > 0 ? "\(clip.width)x\(clip.height)" : "unknown")
    rates.add(clip.frameRate > 0 ? Self.rounded(clip.frameRate) : "unknown")
    codecs.add(clip.codec.isEmpty ? "unknown" : clip.codec)
    for label in clip.labels { classes[label] += 1 }
  }

  private static func rounded(_ rate: Float) -> String {
    let hundredths = (Double(rate) * 100).rounded() / 100
    // A file may claim any rate.
    return Int64(exactly: hundredths).map(String.init) ?? "\(hundredths)"
  }

  // MARK: Classes

  /// Fewer clips than this are too few for any class.
  public static let fewestClips = 10

  /// The numbers of the classes with too few clips to learn from: fewer than ten, or than a tenth of the class in the
  /// middle.
  public var smallClasses: [Int] { classes.indices.filter { classes[$0] < tooFew } }

  /// A class with fewer clips than this has too few.
  public var tooFew: Int {
    let sorted = classes.sorted()
    return max(Self.fewestClips, (sorted.isEmpty ? 0 : sorted[sorted.count / 2]) / 10)
  }
}

/// The same content in training and validation.
public struct ContentLeaks: Sendable {
  public struct Leak: Sendable, Equatable {
    public var training: String
    public var validation: String
  }

  /// Validation clips with frames that training sees too.
  public private(set) var count = 0
  /// The first of them.
  public private(set) var first: [Leak] = []
  /// Validation clips that are another part of a file that training uses.
  public private(set) var sharedFiles = 0

  private static let named = 10

  /// Memory: 16 bytes for each validation clip.
  public init(training: ClipIndex, validation: ClipIndex) {
    struct Known {
      var hash: UInt64
      var clip: Int32
      var outcome: Int8 = 0
    }
    var known = ContiguousArray<Known>()
    known.reserveCapacity(validation.clips.count)
    validation.forEach { number, clip in known.append(Known(hash: clip.hash.low, clip: Int32(clamping: number))) }
    known.sort { $0.hash != $1.hash ? $0.hash < $1.hash : $0.clip < $1.clip }
    var partners: [Int32: String] = [:]
    training.forEach { _, clip in
      var (low, high) = (0, known.count)
      while low < high {
        let middle = low + (high - low) / 2
        if known[middle].hash < clip.hash.low { low = middle + 1 } else { high = middle }
      }
      while low < known.count, known[low].hash == clip.hash.low {
        let other = validation.clips[Int(known[low].clip)]
        if other.hash == clip.hash, other.bytes == clip.bytes, known[low].outcome < 2 {
          let overlaps = clip.range.overlaps(other.range)
          known[low].outcome = overlaps ? 2 : 1
          if overlaps, partners.count < 65536 { partners[known[low].clip] = clip.id }
        }
        low += 1
      }
    }
    count = known.count { $0.outcome == 2 }
    sharedFiles = known.count { $0.outcome == 1 }
    for number in partners.keys.sorted().prefix(Self.named) {
      first.append(Leak(training: partners[number] ?? "", validation: validation.clips[Int(number)].id))
    }
  }
}

extension RejectedList {
  /// The reasons, without names and numbers, and how many clips have each.
  public func reasons() throws -> Tally {
    var tally = Tally()
    try forEach { tally.add(Self.kind($0.reason)) }
    return tally
  }

  /// A reason with `…` for what is in quotation marks, and `N` for numbers: what many clips have in common.
  static func kind(_ reason: String) -> String {
    var kind = ""
    var isQuoted = false
    var isNumber = false
    var before: Character = " "
    for character in reason {
      defer { before = character }
      // An apostrophe inside a word is no quotation mark.
      if character == "'", isQuoted || !(before.isLetter || before.isNumber) {
        isQuoted.toggle()
        kind += isQuoted ? "'…" : "'"
      } else if !isQuoted {
        let isDigit = character.isASCII && character.isNumber
        if !isDigit { kind.append(character) } else if !isNumber { kind.append("N") }
        isNumber = isDigit
      }
    }
    return kind
  }
}
