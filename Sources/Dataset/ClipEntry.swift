// A clip of an index, and the bytes that its numbers take in the index's file.
import Shared

/// One clip of an index.
public struct ClipEntry: Equatable, Sendable {
  /// Unique in the index.
  public var id: String
  /// Relative to the list's data folder (see `VideoFolder`), which differs from host to host.
  public var path: String
  /// The number of its class.
  public var label: Int
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
    id: String, path: String, label: Int, bytes: UInt64, hash: Digest128, offset: UInt64 = 0, first: Int = 0,
    frames: Int, isProved: Bool = false, head: UInt8 = 0, width: Int = 0, height: Int = 0, frameRate: Float = 0,
    codec: String = ""
  ) {
    self.id = id
    self.path = path
    self.label = label
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
  /// The most frames of a file: any two of them can be added.
  static let mostFrames = Int(Int32.max)

  /// Its numbers as bytes.
  /// - Throws: `DatasetError` for a number that no clip can have.
  func facts(classes: Int) throws(DatasetError) -> [UInt8] {
    guard (0..<classes).contains(label) else {
      throw DatasetError(.badData, "the clip '\(id)' has class \(label) of \(classes)")
    }
    guard (0...Self.mostFrames).contains(first), (0...Self.mostFrames).contains(frames),
      (0...Int(UInt16.max)).contains(width), (0...Int(UInt16.max)).contains(height), frameRate.isFinite, frameRate >= 0,
      let codecBytes = UInt16(exactly: codec.utf8.count), let label = UInt32(exactly: label),
      case let (end, overflow) = offset.addingReportingOverflow(bytes), !overflow, end <= UInt64(Int64.max)
    else {
      throw DatasetError(
        .badData,
        "the clip '\(id)' cannot be: frames \(first)+\(frames), \(width)x\(height) pixels, \(frameRate) frames a second"
      )
    }
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
    facts.append(littleEndian: UInt16(head) << 8 | (isProved ? 1 : 0))
    facts.append(littleEndian: codecBytes)
    return facts
  }

  /// Reads a row whose numbers `problem(_:_:classes:)` has checked.
  init(_ rows: SortedRows, _ number: Int) {
    let bytes = rows.bytes
    let at = rows.facts(number)
    let codec = rows.rest(number).range.lowerBound
    let file = Self.file(rows, number)
    self.init(
      id: rows.key(number), path: bytes.text(file.path),
      label: Int(bytes.number(at: at + 40, as: UInt32.self)),
      bytes: bytes.number(at: at + 16), hash: Digest128(high: bytes.number(at: at), low: bytes.number(at: at + 8)),
      offset: file.offset, first: Int(bytes.number(at: at + 32, as: UInt32.self)),
      frames: Int(bytes.number(at: at + 36, as: UInt32.self)),
      isProved: bytes.number(at: at + 52, as: UInt8.self) & 1 == 1, head: bytes.number(at: at + 53, as: UInt8.self),
      width: Int(bytes.number(at: at + 48, as: UInt16.self)), height: Int(bytes.number(at: at + 50, as: UInt16.self)),
      frameRate: Float(bitPattern: bytes.number(at: at + 44)), codec: bytes.text(codec..<file.path.lowerBound))
  }

  /// Where a row's path is among the bytes, and where its file begins in a shard.
  static func file(_ rows: SortedRows, _ number: Int) -> (path: Range<Int>, offset: UInt64) {
    let at = rows.facts(number)
    let rest = rows.rest(number).range
    let path = rest.lowerBound + Int(rows.bytes.number(at: at + 54, as: UInt16.self))
    return (path..<rest.upperBound, rows.bytes.number(at: at + 24))
  }

  /// Why a row is no clip; nil if it is one.
  static func problem(_ rows: SortedRows, _ number: Int, classes: Int) -> String? {
    let bytes = rows.bytes
    let at = rows.facts(number)
    let rate = Float(bitPattern: bytes.number(at: at + 44))
    if Int(bytes.number(at: at + 40, as: UInt32.self)) >= classes { return "its class is none of the \(classes)" }
    if bytes.number(at: at + 32, as: UInt32.self) > UInt32(mostFrames)
      || bytes.number(at: at + 36, as: UInt32.self) > UInt32(mostFrames)
    {
      return "it has frames that cannot be"
    }
    if !rate.isFinite || rate < 0 { return "its frame rate is \(rate)" }
    if bytes.number(at: at + 52, as: UInt8.self) > 1 { return "it has unknown marks" }
    let (start, end) = bytes.number(at: at + 16, as: UInt64.self).addingReportingOverflow(bytes.number(at: at + 24))
    if end || start > UInt64(Int64.max) { return "its file's size is \(start)" }
    if Int(bytes.number(at: at + 54, as: UInt16.self)) > rows.rest(number).count { return "its codec has no name" }
    return nil
  }
}

extension ClipEntry {
  /// Why it cannot be stored in an index, whatever its id and label; nil if it can.
  public var problem: String? {
    var clip = self
    clip.label = 0
    do throws(DatasetError) {
      _ = try clip.facts(classes: 1)
      return nil
    } catch { return error.description }
  }
}
