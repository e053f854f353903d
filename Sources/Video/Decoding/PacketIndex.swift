// Which packets must be decoded for which frames: a pure function of the demuxed packets.

/// The facts about one packet, in decoding order.
struct PacketFacts: Equatable {
  var pts: Int64?
  var dts: Int64?
  /// An entry point: decoding from here gives the same pictures as from the beginning, except for leading pictures.
  var isEntry: Bool
  /// Decoded only as a reference: an edit list removes it, or the codec marks it as hidden.
  var isHidden = false
}

/// A run of packets that is decoded without a reset.
struct DecodeRun: Equatable {
  var packets: ClosedRange<Int>
}

/// The frames of a video in presentation order.
struct PacketIndex {
  let packets: [PacketFacts]
  /// The packet of each frame.
  let order: [Int]
  /// Why the timestamps cannot be trusted; nil if they can.
  let doubt: String?

  init(_ packets: [PacketFacts]) {
    self.packets = packets
    doubt = PacketIndex.doubt(packets)
    order =
      doubt != nil
      ? [] : packets.indices.filter { !packets[$0].isHidden }.sorted { packets[$0].time < packets[$1].time }
  }

  private static func doubt(_ packets: [PacketFacts]) -> String? {
    guard let first = packets.first else { return "no packets" }
    if !first.isEntry { return "the first packet is no key frame" }
    var seen = Set<Int64>()
    var latest = Int64.min
    for packet in packets {
      guard let pts = packet.pts else { return "a packet without a timestamp" }
      if !seen.insert(pts).inserted { return "a repeated timestamp" }
      guard let dts = packet.dts else { continue }
      if dts < latest { return "decoding times that go back" }
      latest = dts
    }
    return nil
  }

  /// The packet at which decoding must start to give `packet`'s picture: the nearest entry point that is not shown after
  /// it. (Pictures that are decoded after an entry point but shown before it may refer to earlier pictures.)
  func entry(for packet: Int) -> Int {
    var entry = packet
    while entry > 0, !packets[entry].isEntry || packets[entry].time > packets[packet].time { entry -= 1 }
    return entry
  }

  /// The fewest spans that give these frames, in decoding order.
  func runs(for frames: [Int]) -> [DecodeRun] {
    let stretches = frames.map { entry(for: order[$0])...order[$0] }
      .sorted { ($0.lowerBound, $0.upperBound) < ($1.lowerBound, $1.upperBound) }
    var runs: [DecodeRun] = []
    for stretch in stretches {
      if let last = runs.last?.packets, stretch.lowerBound <= last.upperBound + 1 {
        runs[runs.count - 1].packets = last.lowerBound...max(last.upperBound, stretch.upperBound)
      } else {
        runs.append(DecodeRun(packets: stretch))
      }
    }
    return runs
  }
}

extension PacketFacts {
  /// The presentation time. Call it only if it is known.
  fileprivate var time: Int64 { pts ?? .min }
}
