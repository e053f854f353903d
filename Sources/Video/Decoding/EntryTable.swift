// Where a long video can be entered, so that a clip of it is read without what lies before and behind.
import CFFmpeg
import Shared
import Synchronization

/// Where a packet lies in its file, and what must be the same when it is read again.
struct PacketPlace {
  var position: Int64
  /// The decoding time, by which demuxers seek; where there is none, the presentation time. (Matroska's decoding times
  /// are worked out from the packets before.)
  var time: Int64
  var bytes: Int32

  init(_ packet: UnsafeMutablePointer<AVPacket>) {
    let packet = unsafe packet.pointee
    (position, bytes) = unsafe (packet.pos, packet.size)
    time = unsafe packet.dts == tamring_ffmpeg_no_timestamp() ? packet.pts : packet.dts
  }
}

/// The entry points of a file of which everything before is also shown before all that follows.
struct EntryTable {
  struct Entry {
    var place: PacketPlace
    /// Its number among the file's packets.
    var packet: Int
    /// The first frame that is shown from here on. Pictures that follow in the file may be shown before the entry's
    /// own.
    var first: Int
    /// The frame that is its own picture: the first that can be decoded from here.
    var frame: Int
    /// Of all packets up to the next entry.
    var digest: Int
  }

  /// Packets in a row that hold all of some frames.
  struct Window {
    var entries: ArraySlice<Entry>
    var packets: Int
    /// The file's number of the window's first frame.
    var firstFrame: Int { entries.first?.first ?? 0 }

    func begins(at place: PacketPlace) -> Bool {
      entries.first?.place.position == place.position
    }

    /// Whether the packets that were read from its beginning on are its packets.
    func holds(_ facts: [PacketFacts], _ places: [PacketPlace]) -> Bool {
      guard let first = entries.first, facts.count == packets, places.count == packets else { return false }
      let starts = entries.map { $0.packet - first.packet } + [packets]
      return zip(entries, zip(starts, starts.dropFirst())).allSatisfy { entry, range in
        entry.digest == EntryTable.digest(facts[range.0..<range.1], places[range.0..<range.1])
      }
    }
  }

  /// Shorter videos are read whole: that takes no time beside decoding.
  private static let fewestPackets = 1000

  private let entries: [Entry]
  private let packets: Int

  var count: Int { entries.count }

  /// - Returns: nil for a file that is short, or whose packets cannot be told by time and place.
  init?(_ index: PacketIndex, _ places: [PacketPlace]) {
    let facts = index.packets
    guard facts.count >= Self.fewestPackets, index.isByTime, places.count == facts.count else { return nil }
    var shownAt = [Int?](repeating: nil, count: facts.count)
    for (frame, packet) in index.order.enumerated() { shownAt[packet] = frame }
    var shownBefore = 0
    // The first frame that is shown from each packet on.
    var first = [Int](repeating: index.order.count, count: facts.count + 1)
    for packet in facts.indices.reversed() { first[packet] = min(first[packet + 1], shownAt[packet] ?? .max) }
    var starts: [(packet: Int, first: Int, frame: Int)] = []
    for packet in facts.indices {
      guard let frame = shownAt[packet] else { continue }
      if facts[packet].isEntry, first[packet] == shownBefore { starts.append((packet, shownBefore, frame)) }
      shownBefore += 1
    }
    guard starts.first?.packet == 0, starts.allSatisfy({ places[$0.packet].position >= 0 }) else { return nil }
    let ends = starts.dropFirst().map(\.packet) + [facts.count]
    entries = zip(starts, ends).map { start, end in
      Entry(
        place: places[start.packet], packet: start.packet, first: start.first, frame: start.frame,
        digest: Self.digest(facts[start.packet..<end], places[start.packet..<end]))
    }
    packets = facts.count
  }

  private static func digest(_ facts: ArraySlice<PacketFacts>, _ places: ArraySlice<PacketPlace>) -> Int {
    var hasher = Hasher()
    for (fact, place) in zip(facts, places) {
      hasher.combine(fact)
      hasher.combine(place.bytes)
    }
    return hasher.finalize()
  }

  /// The packets that hold all of a clip's frames; nil if these are most of the file.
  func window(for frames: Range<Int>) -> Window? {
    guard !frames.isEmpty, let start = entries.lastIndex(where: { $0.frame <= frames.lowerBound }),
      let end = entries.lastIndex(where: { $0.first < frames.upperBound }), start <= end
    else { return nil }
    let behind = end + 1 < entries.count ? entries[end + 1].packet : packets
    let count = behind - entries[start].packet
    return count <= packets / 2 ? Window(entries: entries[start...end], packets: count) : nil
  }
}

/// The tables of the files that were read last.
final class EntryTables: Sendable {
  /// Entries of all tables together, some 64 bytes each.
  private static let mostEntries = 500_000

  private struct State {
    var tables: [UInt64: EntryTable] = [:]
    var entries = 0
  }
  private let state = Mutex(State())

  func table(of file: UInt64) -> EntryTable? { state.withLock { $0.tables[file] } }

  func keep(_ table: EntryTable, of file: UInt64) {
    state.withLock { state in
      if state.entries + table.count > Self.mostEntries { state = State() }
      state.entries += table.count - (state.tables.updateValue(table, forKey: file)?.count ?? 0)
    }
  }
}
