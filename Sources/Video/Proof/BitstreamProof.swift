// What the headers of a stream prove about its entry points, without decoding it.
import CFFmpeg

/// The cheap proof: it reads each packet's headers, and decodes nothing.
///
/// It rests on the codec's standard and on FFmpeg's obeying it where a stream is as ordinary as is asked for here; the
/// proof by decoding (`VideoFile.prove`) rests on nothing. Whatever is not ordinary is left to that one.
enum BitstreamProof {
  /// - Returns: whether the packets are proved to be the frames in the index's order, and the entry points to be places
  ///   at which nothing earlier matters.
  static func isGiven(_ parameters: UnsafeMutablePointer<AVCodecParameters>, _ packets: PacketStore)
    throws(VideoError) -> Bool
  {
    let index = packets.index
    guard index.doubt == nil, index.isByTime, !index.packets.contains(where: \.changesDecoder) else { return false }
    switch unsafe parameters.pointee.codec_id {
    case AV_CODEC_ID_H264:
      guard let proof = unsafe H264Proof(parameters, lengthBytes: packets.lengthBytes) else { return false }
      for position in index.packets.indices {
        guard unsafe proof.accepts(try packets.packet(position), index.packets[position]) else { return false }
      }
      return proof.accepts(index)
    case AV_CODEC_ID_VP9:
      // VP9 shows pictures in the order of its packets.
      guard zip(index.order, index.order.dropFirst()).allSatisfy({ $0 < $1 }) else { return false }
      for position in index.packets.indices {
        let packet = unsafe try packets.packet(position).pointee
        let bytes = unsafe UnsafeBufferPointer(start: packet.data, count: Int(packet.size))
        guard let kind = unsafe VP9Packet(bytes) else { return false }
        guard kind.isShown, kind.isKey || !index.packets[position].isEntry else { return false }
      }
      return true
    default: return false
    }
  }
}
