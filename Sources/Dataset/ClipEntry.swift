// A clip of an index, and the bytes that its numbers take in the index's file.
import Shared

/// One clip of an index.
public struct ClipEntry: Equatable, Sendable {
  /// Unique in the index.
  public var id: String
  /// Relative to the list's data folder (see `VideoFolder`), which differs from host to host.
  public var path: String
  /// The numbers of its classes, ascending; several only for a binary loss.
  public var labels: [Int]
  /// The file's size.
  public var bytes: UInt64
  /// XXH3-128 of the file.
  public var hash: Digest128
  /// Where the file begins in the shard that holds it; 0 if it is a file of its own.
  public var offset: UInt64
  /// The clip's first frame in its file.
  public var first: Int
  /// How many frames the clip has.
  public var frames: Int
  /// Whether decoding may enter the file at its key frames. Otherwise it is decoded from its beginning.
  public var isProved: Bool
  /// What is known of the file's head, as a code of `Video`; 0 if nothing is.
  public var head: UInt8
  /// Pixels as displayed.
  public var width: Int
  public var height: Int
  /// Frames a second; 0 if the file does not say.
  public var frameRate: Float
  /// FFmpeg's name of the codec; empty if that is unknown.
  public var codec: String

  public init(
    id: String, path: String, labels: [Int], bytes: UInt64, hash: Digest128, offset: UInt64 = 0, first: Int = 0,
    frames: Int, isProved: Bool = false, head: UInt8 = 0, width: Int = 0, height: Int = 0, frameRate: Float = 0,
    codec: String = ""
  ) {
    self.id = id
    self.path = path
    self.labels = labels
    self.bytes = bytes
    self.hash = hash
    self.offset = offset
    self.first = first
    self.frames = frames
    self.isProved = isProved
    self.head = head
    self.width = width
    self.height = height
    self.frameRate = frameRate
    self.codec = codec
  }

  /// The part of a shard that is the file; nil if the file is one of its own.
  public var bytesInShard: Range<UInt64>? { offset > 0 ? offset..<offset + bytes : nil }

  /// The clip's part of the file.
  public var range: Range<Int> { first..<first + frames }

  /// Seconds; 0 if the file does not say how many frames a second has.
  public var seconds: Double { frameRate > 0 ? Double(frames) / Double(frameRate) : 0 }
}

extension ClipEntry {
  static let factsBytes = 56
  /// Marks of a row: decoding may enter at key frames; the clip has several classes, which stand as text before its
  /// path, where a row of one class has nothing.
  private static let (proved, several): (UInt8, UInt8) = (1, 2)
  /// The most frames of a file: any two of them can be added.
  static let mostFrames = Int(Int32.max)

  /// Its numbers as bytes.
  /// - Throws: `DatasetError` for a number that no clip can have.
  func facts(classes: Int) throws(DatasetError) -> [UInt8] {
    guard Self.areClasses(labels, of: classes) else {
      throw DatasetError(.badData, "the clip '\(id)' has class \(list(labels.map(String.init))) of \(classes)")
    }
    guard (0...Self.mostFrames).contains(first), (0...Self.mostFrames).contains(frames),
      (0...Int(UInt16.max)).contains(width), (0...Int(UInt16.max)).contains(height), frameRate.isFinite, frameRate >= 0,
      let codecBytes = UInt16(exactly: codec.utf8.count),
      let label = UInt32(exactly: labels.count > 1 ? listedClasses.utf8.count : labels[0]),
      case let (end, overflow) = offset.addingReportingOverflow(bytes), !overflow, end <= UInt64(Int64.max)
    else {
      throw DatasetError(
        .badData,
        "the clip '\(id)' cannot be: frames \(first)+\(frames), \(width)x\(height) pixels, \(frameRate) frames a second"
      )
    }
    let marks = (isProved ? Self.proved : 0) | (labels.count > 1 ? Self.several : 0)
    var facts: [UInt8] = []
    facts.append(littleEndian: hash.high)
    facts.append(littleEndian: hash.low)
    facts.append(littleEndian: bytes)
    facts.append(littleEndian: offset)
    facts.append(littleEndian: UInt32(first))
    facts.append(littleEndian: UInt32(frames))
    facts.append(littleEndian: label)
    facts.append(littleEndian: frameRate.bitPattern)
    facts.append(littleEndian: UInt16(width))
    facts.append(littleEndian: UInt16(height))
    facts.append(littleEndian: UInt16(head) << 8 | UInt16(marks))
    facts.append(littleEndian: codecBytes)
    return facts
  }

  /// What stands in its row besides its id and its numbers.
  var rest: String { codec + (labels.count > 1 ? listedClasses : "") + path }

  /// `3,17`
  var listedClasses: String { labels.map(String.init).joined(separator: ",") }

  private static func areClasses(_ labels: [Int], of classes: Int) -> Bool {
    !labels.isEmpty && labels.allSatisfy { (0..<classes).contains($0) } && zip(labels, labels.dropFirst()).allSatisfy(<)
  }

  /// Reads a row whose numbers `problem(_:_:classes:)` has checked.
  init(_ rows: SortedRows, _ number: Int) {
    let bytes = rows.bytes
    let at = rows.facts(number)
    let texts = Self.texts(rows, number)
    self.init(
      id: rows.key(number), path: bytes.text(texts.path), labels: Self.labels(rows, number) ?? [0],
      bytes: bytes.number(at: at + 16), hash: Digest128(high: bytes.number(at: at), low: bytes.number(at: at + 8)),
      offset: bytes.number(at: at + 24), first: Int(bytes.number(at: at + 32, as: UInt32.self)),
      frames: Int(bytes.number(at: at + 36, as: UInt32.self)),
      isProved: Self.marks(rows, number) & Self.proved != 0, head: bytes.number(at: at + 53, as: UInt8.self),
      width: Int(bytes.number(at: at + 48, as: UInt16.self)), height: Int(bytes.number(at: at + 50, as: UInt16.self)),
      frameRate: Float(bitPattern: bytes.number(at: at + 44)), codec: bytes.text(texts.codec))
  }

  private static func marks(_ rows: SortedRows, _ number: Int) -> UInt8 {
    rows.bytes.number(at: rows.facts(number) + 52)
  }

  static func hasSeveralClasses(_ rows: SortedRows, _ number: Int) -> Bool { marks(rows, number) & several != 0 }

  /// The number of the class, or the bytes of the list of classes.
  private static func label(_ rows: SortedRows, _ number: Int) -> Int {
    Int(rows.bytes.number(at: rows.facts(number) + 40, as: UInt32.self))
  }

  /// Where a row's codec, list of classes and path are among the bytes.
  private static func texts(
    _ rows: SortedRows, _ number: Int
  ) -> (codec: Range<Int>, classes: Range<Int>, path: Range<Int>) {
    let rest = rows.rest(number).range
    let classes = rest.lowerBound + Int(rows.bytes.number(at: rows.facts(number) + 54, as: UInt16.self))
    let path = classes + (hasSeveralClasses(rows, number) ? label(rows, number) : 0)
    return (rest.lowerBound..<classes, classes..<path, path..<rest.upperBound)
  }

  /// Nil if they are no numbers.
  private static func labels(_ rows: SortedRows, _ number: Int) -> [Int]? {
    guard hasSeveralClasses(rows, number) else { return [label(rows, number)] }
    let fields = rows.bytes.text(texts(rows, number).classes).split(separator: ",", omittingEmptySubsequences: false)
    let labels = fields.compactMap { Int($0) }
    return labels.count == fields.count ? labels : nil
  }

  /// Where a row's path is among the bytes, and where its file begins in a shard.
  static func file(_ rows: SortedRows, _ number: Int) -> (path: Range<Int>, offset: UInt64) {
    (texts(rows, number).path, rows.bytes.number(at: rows.facts(number) + 24))
  }

  /// Why a row is no clip; nil if it is one.
  static func problem(_ rows: SortedRows, _ number: Int, classes: Int) -> String? {
    let bytes = rows.bytes
    let at = rows.facts(number)
    let rate = Float(bitPattern: bytes.number(at: at + 44))
    if marks(rows, number) & ~(proved | several) != 0 { return "it has unknown marks" }
    let codec = Int(bytes.number(at: at + 54, as: UInt16.self))
    let listed = hasSeveralClasses(rows, number) ? label(rows, number) : 0
    if codec + listed > rows.rest(number).count { return "its codec has no name" }
    guard let labels = labels(rows, number), areClasses(labels, of: classes) else {
      return "its class is none of the \(classes)"
    }
    if bytes.number(at: at + 32, as: UInt32.self) > UInt32(mostFrames)
      || bytes.number(at: at + 36, as: UInt32.self) > UInt32(mostFrames)
    {
      return "it has frames that cannot be"
    }
    if !rate.isFinite || rate < 0 { return "its frame rate is \(rate)" }
    let (start, end) = bytes.number(at: at + 16, as: UInt64.self).addingReportingOverflow(bytes.number(at: at + 24))
    if end || start > UInt64(Int64.max) { return "its file's size is \(start)" }
    return nil
  }
}

extension ClipEntry {
  /// Why it cannot be stored in an index, whatever its id and classes; nil if it can.
  public var problem: String? {
    var clip = self
    clip.labels = [0]
    do throws(DatasetError) {
      _ = try clip.facts(classes: 1)
      return nil
    } catch { return error.description }
  }
}
