// Classifies packets by their first bytes: entry points and hidden pictures.
import CFFmpeg

/// Classifies the packets of one video stream.
///
/// The container's key flag is not enough for H.264 and HEVC: some files flag every packet, or flag recovery points, after
/// which pictures may look different if decoding starts there. Only the codec's own instantaneous refresh is an entry
/// point.
struct PacketKinds {
  private let codec: AVCodecID
  /// Bytes of a NAL unit's length, if units are length-prefixed.
  private let lengthBytes: Int?

  init(_ stream: UnsafeMutablePointer<AVStream>) {
    let parameters = unsafe stream.pointee.codecpar.pointee
    codec = unsafe parameters.codec_id
    let extra = unsafe UnsafeBufferPointer(start: parameters.extradata, count: Int(parameters.extradata_size))
    if codec == AV_CODEC_ID_H264, extra.count > 6, unsafe extra[0] == 1 {
      lengthBytes = Int(unsafe extra[4] & 3) + 1
    } else if codec == AV_CODEC_ID_HEVC, extra.count > 22, unsafe extra[0] == 1 {
      lengthBytes = Int(unsafe extra[21] & 3) + 1
    } else {
      lengthBytes = nil
    }
  }

  func facts(of packet: UnsafeMutablePointer<AVPacket>) -> PacketFacts {
    let isKey = unsafe packet.pointee.flags & AV_PKT_FLAG_KEY != 0
    let bytes = unsafe UnsafeBufferPointer(start: packet.pointee.data, count: Int(packet.pointee.size))
    let isCut = unsafe packet.pointee.flags & AV_PKT_FLAG_DISCARD != 0
    // Bit 4 of a VP8 frame's first byte says whether it is shown (RFC 6386, section 9.1).
    let isInvisible = unsafe codec == AV_CODEC_ID_VP8 && bytes[0] & 0x10 == 0
    return unsafe PacketFacts(
      pts: time(packet.pointee.pts), dts: time(packet.pointee.dts), isEntry: isKey && isRefresh(bytes),
      isHidden: isCut || isInvisible)
  }

  private func time(_ value: Int64) -> Int64? { value == tamring_ffmpeg_no_timestamp() ? nil : value }

  /// Whether an H.264 or HEVC packet holds an IDR picture; true for other codecs.
  private func isRefresh(_ bytes: UnsafeBufferPointer<UInt8>) -> Bool {
    guard codec == AV_CODEC_ID_H264 || codec == AV_CODEC_ID_HEVC else { return true }
    guard let lengthBytes else { return false }
    var offset = 0
    while offset + lengthBytes < bytes.count {
      var length = 0
      for i in 0..<lengthBytes { length = length << 8 | Int(unsafe bytes[offset + i]) }
      let head = unsafe bytes[offset + lengthBytes]
      // ITU-T H.264 table 7-1: 5 is IDR. H.265 table 7-1: 19 and 20 are IDR.
      if codec == AV_CODEC_ID_H264 ? head & 31 == 5 : (19...20).contains(head >> 1 & 63) { return true }
      offset += lengthBytes + length
    }
    return false
  }
}
