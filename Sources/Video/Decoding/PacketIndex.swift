// Which packets must be decoded for which frames: a pure function of the demuxed packets.

/// The facts about one packet, in decoding order.
struct PacketFacts: Hashable {
  var pts: Int64?
  /// A claim of the file: decoding from here gives the same pictures as from the beginning, except for leading
  /// pictures.
  var isEntry: Bool
  /// Decoded only as a reference: an edit list removes it, or the codec marks it as hidden.
  var isHidden = false
  /// It sets the decoder up anew, with a palette or parameters of its own.
  var changesDecoder = false
}

/// Packets that are decoded in a row by a decoder that knows nothing of those before.
struct DecodeRun: Equatable {
  /// From the entry point to the last packet that is needed.
  var packets: ClosedRange<Int>
  /// The frames that are wanted, by their packets.
  var frames: [Int: Int] = [:]

  mutating func add(_ frame: Int, _ packet: Int) {
    frames[packet] = frame
    packets = packets.lowerBound...max(packets.upperBound, packet)
  }
}

/// The frames of a video in presentation order, as its packets claim it.
struct PacketIndex {
  let packets: [PacketFacts]
  /// The packet of each frame: by timestamps, or in the order of the packets where there are no usable ones.
  let order: [Int]
  /// Whether timestamps give the order.
  let isByTime: Bool
  /// Why the claim cannot be true; nil if it may be, which decoding has to prove.
  let doubt: String?
  private let entries: [Int]

  init(_ packets: [PacketFacts]) {
    self.packets = packets
    let shown = packets.indices.filter { !packets[$0].isHidden }
    var seen = Set<Int64>()
    isByTime = shown.allSatisfy { packets[$0].pts.map { seen.insert($0).inserted } ?? false }
    order = isByTime ? shown.sorted { packets[$0].time < packets[$1].time } : shown
    doubt = PacketIndex.doubt(packets)
    entries = packets.indices.filter { packets[$0].isEntry }
  }

  private static func doubt(_ packets: [PacketFacts]) -> String? {
    guard let first = packets.first else { return "no packets" }
    if !first.isEntry { return "the first packet is no key frame" }
    // Whoever enters behind such a packet does not have what it brought.
    if let change = packets.dropFirst().firstIndex(where: \.changesDecoder) {
      return "packet \(change) sets the decoder up anew"
    }
    return first.changesDecoder && packets.dropFirst().contains(where: \.isEntry)
      ? "the palette comes with the first packet only" : nil
  }

  /// The packet at which decoding must start to give `packet`'s picture: the nearest entry point that is not shown
  /// after it. (Pictures that are decoded after an entry point but shown before it may refer to earlier pictures.)
  func entry(for packet: Int) -> Int {
    // The last entry point that is not behind the packet.
    var (low, high) = (0, entries.count)
    while low < high {
      let middle = (low + high) / 2
      if entries[middle] <= packet { low = middle + 1 } else { high = middle }
    }
    while low > 0 {
      let entry = entries[low - 1]
      if !isByTime || packets[entry].time <= packets[packet].time { return entry }
      low -= 1
    }
    return 0
  }

  /// The packets to decode for these frames: a run for each entry point that is needed, in the order of decoding.
  func runs(for frames: some Sequence<Int>) -> [DecodeRun] {
    var runs: [Int: DecodeRun] = [:]
    for frame in frames {
      let packet = order[frame]
      let entry = entry(for: packet)
      runs[entry, default: DecodeRun(packets: entry...entry)].add(frame, packet)
    }
    return runs.values.sorted { $0.packets.lowerBound < $1.packets.lowerBound }
  }
}

extension PacketFacts {
  /// The presentation time. Call it only if it is known.
  fileprivate var time: Int64 { pts ?? .min }
}
