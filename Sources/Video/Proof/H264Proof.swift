// Proves the order and the entry points of an ordinary H.264 stream from its headers.
import CFFmpeg

/// Reads a stream's packets in the order of decoding.
///
/// It accepts progressive 8-bit 4:2:0 video whose parameter sets are all in the file's head, with one picture in a
/// packet. There an IDR picture is an entry point: it empties the decoder's memory of pictures, and the numbers by
/// which pictures are ordered begin anew. What it proves:
/// - every entry point is an IDR picture, and no parameter set or hint of the encoder comes between that it would miss;
/// - between two IDR pictures the timestamps have the order of the picture order count, which is what the decoder
///   orders by, and all pictures before an IDR picture are shown before it;
/// - the decoder holds back enough pictures from the start to put them in this order, so it drops none.
///
/// **Source:** ITU-T H.264 (08/2021), sections 7.4.1.2.4 and 8.2.1; FFmpeg's `h264_select_output_frame`.
@safe
final class H264Proof {
  private let context: UnsafeMutablePointer<AVCodecContext>
  private let parser: UnsafeMutablePointer<AVCodecParserContext>
  private let lengthBytes: Int
  private let delay: Int
  /// The parameter sets of the file's head.
  private let sets: Set<[UInt8]>
  /// For each packet, the number of its IDR picture and its picture order count.
  private var places: [(period: Int, count: Int)] = []
  private var period = -1

  /// - Returns: nil if the file's head has no parameter sets, or FFmpeg no parser.
  init?(_ parameters: UnsafeMutablePointer<AVCodecParameters>, lengthBytes: Int?) {
    guard let lengthBytes, let sets = unsafe H264Proof.sets(parameters.pointee) else { return nil }
    (self.lengthBytes, self.sets) = (lengthBytes, sets)
    delay = unsafe Int(parameters.pointee.video_delay)
    var made: UnsafeMutablePointer<AVCodecContext>? = unsafe avcodec_alloc_context3(nil)
    guard let context = unsafe made, unsafe avcodec_parameters_to_context(context, parameters) >= 0,
      let parser = unsafe av_parser_init(Int32(AV_CODEC_ID_H264.rawValue))
    else {
      unsafe avcodec_free_context(&made)
      return nil
    }
    unsafe parser.pointee.flags |= PARSER_FLAG_COMPLETE_FRAMES
    unsafe self.context = unsafe context
    unsafe self.parser = unsafe parser
  }

  deinit {
    unsafe av_parser_close(parser)
    var context: UnsafeMutablePointer<AVCodecContext>? = unsafe context
    unsafe avcodec_free_context(&context)
  }

  /// The parameter sets of an `avcC` box: ISO/IEC 14496-15, section 5.3.3.
  private static func sets(_ parameters: AVCodecParameters) -> Set<[UInt8]>? {
    let head = unsafe [UInt8](UnsafeBufferPointer(start: parameters.extradata, count: Int(parameters.extradata_size)))
    guard head.count > 6, head[0] == 1 else { return nil }
    var sets: Set<[UInt8]> = []
    var offset = 5
    // One sequence parameter set, so that there is no other to be confused with.
    for (mask, range) in [(UInt8(31), 1...1), (255, 1...255)] {
      guard offset < head.count else { return nil }
      let count = Int(head[offset] & mask)
      guard range.contains(count) else { return nil }
      offset += 1
      for _ in 0..<count {
        guard offset + 2 <= head.count else { return nil }
        let length = Int(head[offset]) << 8 | Int(head[offset + 1])
        guard length > 0, offset + 2 + length <= head.count else { return nil }
        sets.insert(Array(head[offset + 2..<offset + 2 + length]))
        offset += 2 + length
      }
    }
    return sets
  }

  /// Reads the next packet.
  /// - Returns: false if it is not ordinary.
  func accepts(_ packet: UnsafeMutablePointer<AVPacket>, _ facts: PacketFacts) -> Bool {
    let bytes = unsafe UnsafeBufferPointer(start: packet.pointee.data, count: Int(packet.pointee.size))
    guard let isRefresh = unsafe refresh(bytes) else { return false }
    // Without the file's flag, an IDR picture is just not used.
    guard isRefresh || !facts.isEntry else { return false }
    var out: UnsafeMutablePointer<UInt8>?
    var outBytes: Int32 = 0
    let used = unsafe av_parser_parse2(
      parser, context, &out, &outBytes, packet.pointee.data, packet.pointee.size, Int64(places.count),
      Int64(places.count), 0)
    guard unsafe used == packet.pointee.size, unsafe parser.pointee.picture_structure == AV_PICTURE_STRUCTURE_FRAME,
      unsafe parser.pointee.format == AV_PIX_FMT_YUV420P.rawValue
    else { return false }
    if isRefresh { period += 1 }
    guard period >= 0 else { return false }
    places.append((period, unsafe Int(parser.pointee.output_picture_number)))
    return true
  }

  /// Looks at a packet's NAL units.
  /// - Returns: whether its picture is an IDR picture; nil if the packet is not one ordinary picture.
  private func refresh(_ bytes: UnsafeBufferPointer<UInt8>) -> Bool? {
    var units = unsafe NALUnits(bytes, lengthBytes: lengthBytes)
    var isRefresh: Bool?
    while let unit = units.next() {
      let kind = unsafe bytes[unit.lowerBound] & 31
      switch kind {
      case 1, 5:
        guard unit.count > 1 else { return nil }
        // first_mb_in_slice is 0, a single 1 bit, in a picture's first slice and in no other.
        let isFirst = unsafe bytes[unit.lowerBound + 1] & 0x80 != 0
        guard isFirst == (isRefresh == nil), isRefresh == nil || isRefresh == (kind == 5) else { return nil }
        isRefresh = kind == 5
      case 6:
        guard unsafe !H264Proof.namesOldEncoder(UnsafeBufferPointer(rebasing: bytes[unit])) else { return nil }
      case 7, 8:
        guard unsafe sets.contains(Array(bytes[unit])) else { return nil }
      case 9, 11, 12: break
      default: return nil
      }
    }
    return units.isBroken ? nil : isRefresh
  }

  /// Whether a message names x264 by a number up to 33, of 2005: FFmpeg decodes its streams in a way of their own,
  /// which it cannot know to do where it has not seen this message.
  private static func namesOldEncoder(_ message: UnsafeBufferPointer<UInt8>) -> Bool {
    let name = Array("x264 - core ".utf8)
    guard message.count > name.count else { return false }
    for start in 0..<min(message.count - name.count, 64) where unsafe message[start] == name[0] {
      guard unsafe message[start..<start + name.count].elementsEqual(name) else { continue }
      let digits = unsafe message[(start + name.count)...].prefix(6).prefix { (48...57).contains($0) }
      return unsafe (Int(String(decoding: digits, as: UTF8.self)) ?? 0) <= 33
    }
    return false
  }

  /// Whether the order of the index is that of the picture order count, within what the decoder holds back.
  func accepts(_ index: PacketIndex) -> Bool {
    guard places.count == index.packets.count else { return false }
    for (frame, next) in zip(index.order, index.order.dropFirst()) {
      guard places[frame] < places[next] else { return false }
    }
    // How many pictures decoded before a picture are shown after it, in its own period.
    var period = -1
    var counts: [Int] = []
    for place in places {
      if place.period != period { (period, counts) = (place.period, []) }
      var position = counts.count
      while position > 0, counts[position - 1] > place.count { position -= 1 }
      guard counts.count - position <= delay else { return false }
      counts.insert(place.count, at: position)
    }
    return true
  }
}
