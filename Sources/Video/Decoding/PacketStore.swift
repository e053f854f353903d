// A video's packets, read once in decoding order and kept in memory. Those of a big file are read again instead.
import CFFmpeg

/// The packets of one file's video stream. It belongs to one thread.
@safe
final class PacketStore {
  /// The most bytes of packets to keep. Beyond it all are dropped, and a second demuxer reads them again.
  static let keptBytes = 256 << 20
  /// The most packets of a file. It stops files that never end.
  static let mostPackets = 4_000_000

  let index: PacketIndex
  private let gateway: FFmpegGateway
  private let progress: DecodeProgress?
  /// Empty if the file is too big to keep.
  private var kept: [UnsafeMutablePointer<AVPacket>]
  private var rereader: (demuxer: Demuxer, next: Int)?
  private let scratch: UnsafeMutablePointer<AVPacket>

  /// Reads all packets of `demuxer`.
  /// - Throws: `VideoError` if a packet is damaged or truncated, or there is none.
  init(_ demuxer: Demuxer, keeping limit: Int = PacketStore.keptBytes) throws(VideoError) {
    gateway = demuxer.gateway
    progress = demuxer.progress
    let kinds = unsafe PacketKinds(demuxer.stream)
    unsafe scratch = try gateway.allocated("read its packets", unsafe av_packet_alloc())
    var facts: [PacketFacts] = []
    var packets: [UnsafeMutablePointer<AVPacket>] = unsafe []
    var bytes = 0
    do throws(VideoError) {
      while try unsafe demuxer.read(into: scratch) {
        if unsafe scratch.pointee.flags & AV_PKT_FLAG_CORRUPT != 0 {
          throw gateway.error("read its packets", "packet \(facts.count) is damaged or cut off: the file is truncated")
        }
        guard facts.count < PacketStore.mostPackets else {
          throw gateway.error("read its packets", "more than \(PacketStore.mostPackets) packets")
        }
        // The decoder takes an empty packet for the end of the stream.
        if unsafe scratch.pointee.size == 0 { continue }
        facts.append(unsafe kinds.facts(of: scratch))
        bytes += unsafe Int(scratch.pointee.size)
        if bytes <= limit {
          unsafe packets.append(try gateway.allocated("read its packets", unsafe av_packet_clone(scratch)))
        }
      }
      guard !facts.isEmpty else { throw gateway.error("read its packets", "the video stream has no frames") }
    } catch {
      unsafe PacketStore.free(packets + [scratch])
      throw error
    }
    if bytes > limit {
      unsafe PacketStore.free(packets)
      unsafe packets = []
    }
    unsafe kept = packets
    index = PacketIndex(facts)
  }

  deinit { unsafe PacketStore.free(kept + [scratch]) }

  private static func free(_ packets: [UnsafeMutablePointer<AVPacket>]) {
    for position in unsafe packets.indices {
      var packet: UnsafeMutablePointer<AVPacket>? = unsafe packets[position]
      unsafe av_packet_free(&packet)
    }
  }

  /// The packet at a position, valid until the next call.
  /// - Throws: `VideoError` if a big file, read again, ends early.
  func packet(_ position: Int) throws(VideoError) -> UnsafeMutablePointer<AVPacket> {
    if unsafe !kept.isEmpty { return unsafe kept[position] }
    // Read on from the beginning: seeking is inexact in too many kinds of file.
    var reader: (demuxer: Demuxer, next: Int)
    if let open = rereader, open.next <= position {
      reader = open
    } else {
      reader = (try Demuxer(path: gateway.path, progress: progress), 0)
    }
    repeat {
      guard try unsafe reader.demuxer.read(into: scratch) else {
        throw gateway.error("read its packets", "the file got shorter while it was read")
      }
      if unsafe scratch.pointee.size > 0 { reader.next += 1 }
    } while reader.next <= position
    rereader = reader
    return unsafe scratch
  }
}
