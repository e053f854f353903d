// Classifies packets by their first bytes: entry points and hidden pictures.
import CFFmpeg

/// Classifies the packets of one video stream.
///
/// The container's key flag is not enough for H.264 and HEVC: some files flag every packet, or flag recovery points,
/// after which pictures may look different if decoding starts there. Only the codec's own instantaneous refresh is an
/// entry point.
struct PacketKinds {
  private let codec: AVCodecID
  /// Bytes of a NAL unit's length; nil if start codes separate the units.
  let lengthBytes: Int?

  init(_ parameters: AVCodecParameters) {
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
    let isInvisible = unsafe codec == AV_CODEC_ID_VP8 && !bytes.isEmpty && bytes[0] & 0x10 == 0
    return unsafe PacketFacts(
      pts: time(packet.pointee.pts), isEntry: isKey && isRefresh(bytes),
      isHidden: isCut || isInvisible, changesDecoder: tamring_ffmpeg_changes_decoder(packet) != 0)
  }

  private func time(_ value: Int64) -> Int64? { value == tamring_ffmpeg_no_timestamp() ? nil : value }

  /// Whether the first picture of an H.264 or HEVC packet is an IDR picture; true for other codecs, whose flag is all
  /// that there is to go by.
  private func isRefresh(_ bytes: UnsafeBufferPointer<UInt8>) -> Bool {
    guard codec == AV_CODEC_ID_H264 || codec == AV_CODEC_ID_HEVC else { return true }
    var units = unsafe NALUnits(bytes, lengthBytes: lengthBytes)
    while let unit = units.next() {
      let head = unsafe bytes[unit.lowerBound]
      // ITU-T H.264 table 7-1: 1 to 5 are slices, 5 of an IDR picture. H.265 table 7-1: below 32, and 19 and 20.
      if codec == AV_CODEC_ID_H264 {
        if (1...5).contains(head & 31) { return head & 31 == 5 }
      } else if head >> 1 & 63 < 32 {
        return (19...20).contains(head >> 1 & 63)
      }
    }
    return false
  }
}
