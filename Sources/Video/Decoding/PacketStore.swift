// A video's packets, read once in decoding order and kept in memory. Those of a big file are read again instead.
import CFFmpeg

/// The packets of one file's video stream. It belongs to one thread.
///
/// Each packet's timestamps are replaced by its number, which its picture takes over: so a picture is known by its
/// packet, whatever the file's timestamps are worth.
@safe
final class PacketStore {
  /// The most bytes of packets to keep. Beyond it all are dropped, and a second demuxer reads them again.
  static let keptBytes = 256 << 20

  let index: PacketIndex
  /// Where the file can be entered; nil if it is short, or only a part of it was read.
  let table: EntryTable?
  /// Whether the packets are in memory.
  var areKept: Bool { unsafe !kept.isEmpty }
  /// Bytes of a NAL unit's length; nil if start codes separate the units, or the codec has none.
  let lengthBytes: Int?
  private let gateway: FFmpegGateway
  private let demuxer: Demuxer
  /// Empty if the file is too big to keep.
  private var kept: [UnsafeMutablePointer<AVPacket>]
  private var rereader: (demuxer: Demuxer, next: Int)?
  private let scratch: UnsafeMutablePointer<AVPacket>

  /// Reads all packets of `demuxer`, or those of a window.
  /// - Throws: `VideoError` if a packet is damaged, the file is cut off, there is none, or the window's are not there.
  init(
    _ demuxer: Demuxer, _ window: EntryTable.Window? = nil, keeping limit: Int = PacketStore.keptBytes
  ) throws(VideoError) {
    gateway = demuxer.gateway
    self.demuxer = demuxer
    let kinds = unsafe PacketKinds(demuxer.parameters.pointee)
    lengthBytes = kinds.lengthBytes
    unsafe scratch = try gateway.allocated("read its packets", unsafe av_packet_alloc())
    var facts: [PacketFacts] = []
    var places: [PacketPlace] = []
    var packets: [UnsafeMutablePointer<AVPacket>] = unsafe []
    var bytes = 0
    do throws(VideoError) {
      if let window { unsafe try PacketStore.seek(demuxer, window, scratch) }
      // Seeking reads the window's first packet.
      var isRead = window != nil
      while facts.count < window?.packets ?? .max {
        if !isRead, unsafe try !PacketStore.read(demuxer, facts.count, into: scratch) { break }
        isRead = false
        guard facts.count < demuxer.rules.packets else {
          throw gateway.error(
            "read its packets", "it has more than the recipe's limit of \(demuxer.rules.packets) packets")
        }
        facts.append(unsafe kinds.facts(of: scratch))
        places.append(unsafe PacketPlace(scratch))
        unsafe PacketStore.number(scratch, facts.count - 1)
        bytes += unsafe Int(scratch.pointee.size)
        if bytes <= limit {
          unsafe packets.append(try gateway.allocated("read its packets", unsafe av_packet_clone(scratch)))
        }
      }
      try gateway.check()
      // Of the last packet of a cut file, nobody knows whether it is whole.
      if demuxer.isTruncated, facts.count > 1 { facts.removeLast() }
      guard !facts.isEmpty else { throw gateway.error("read its packets", "the video stream has no frames") }
      if let window, bytes > limit || !window.holds(facts, places) || PacketIndex(facts).doubt != nil {
        throw PacketStore.missed(demuxer)
      }
      let promised = demuxer.promisedPackets
      guard window != nil || demuxer.packetsRead >= promised || demuxer.rules.acceptsTruncated else {
        throw gateway.error(
          "read its packets",
          "\(demuxer.packetsRead) of the \(promised) packets of its table are there: the file is truncated")
      }
    } catch {
      unsafe PacketStore.free(packets + [scratch])
      throw error
    }
    if bytes > limit {
      unsafe PacketStore.free(packets)
      unsafe packets = []
    }
    if unsafe packets.count > facts.count { unsafe PacketStore.free([packets.removeLast()]) }
    unsafe kept = packets
    let index = PacketIndex(facts)
    self.index = index
    table = window == nil && !demuxer.isTruncated ? EntryTable(index, places) : nil
  }

  /// Goes to a window's first packet, and reads it.
  private static func seek(
    _ demuxer: Demuxer, _ window: EntryTable.Window, _ packet: UnsafeMutablePointer<AVPacket>
  ) throws(VideoError) {
    guard let start = window.entries.first else { throw missed(demuxer) }
    try demuxer.seek(to: start.place.time)
    for position in 0..<mostPassed {
      guard unsafe try read(demuxer, position, into: packet) else { break }
      if window.begins(at: unsafe PacketPlace(packet)) { return }
    }
    throw missed(demuxer)
  }

  /// Packets that a demuxer may give before the one that was sought.
  private static let mostPassed = 5000

  private static func missed(_ demuxer: Demuxer) -> VideoError {
    demuxer.gateway.error("read its packets", "they are not where they were")
  }

  deinit { unsafe PacketStore.free(kept + [scratch]) }

  private static func free(_ packets: [UnsafeMutablePointer<AVPacket>]) {
    for position in unsafe packets.indices {
      var packet: UnsafeMutablePointer<AVPacket>? = unsafe packets[position]
      unsafe av_packet_free(&packet)
    }
  }

  /// Reads the next packet that holds anything. (The decoder takes an empty one for the end of the stream.)
  /// - Parameter position: its number, for errors.
  /// - Returns: false at the end of the file.
  private static func read(_ demuxer: Demuxer, _ position: Int, into packet: UnsafeMutablePointer<AVPacket>)
    throws(VideoError) -> Bool
  {
    while unsafe try demuxer.read(into: packet) {
      if unsafe packet.pointee.flags & AV_PKT_FLAG_CORRUPT != 0 {
        if demuxer.rules.acceptsTruncated { return false }
        throw demuxer.gateway.error(
          "read its packets", "packet \(position) is damaged or cut off: the file is truncated")
      }
      if unsafe packet.pointee.size > 0 { return true }
    }
    return false
  }

  private static func number(_ packet: UnsafeMutablePointer<AVPacket>, _ position: Int) {
    unsafe packet.pointee.pts = Int64(position)
    unsafe packet.pointee.dts = Int64(position)
  }

  /// The packet at a position, valid until the next call.
  /// - Throws: `VideoError` if a big file, read again, ends early.
  func packet(_ position: Int) throws(VideoError) -> UnsafeMutablePointer<AVPacket> {
    if areKept { return unsafe kept[position] }
    // Read on from the beginning: seeking is inexact in too many kinds of file.
    var reader: (demuxer: Demuxer, next: Int)
    if let open = rereader, open.next <= position {
      reader = open
    } else {
      reader = (
        try Demuxer(demuxer.file, demuxer.rules, demuxer.budget, progress: demuxer.progress), 0
      )
    }
    repeat {
      guard unsafe try PacketStore.read(reader.demuxer, reader.next, into: scratch) else {
        throw gateway.error("read its packets", "the file got shorter while it was read")
      }
      reader.next += 1
    } while reader.next <= position
    rereader = reader
    unsafe PacketStore.number(scratch, position)
    return unsafe scratch
  }
}
