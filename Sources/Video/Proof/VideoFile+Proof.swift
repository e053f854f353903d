// Whether frames may be found by entering a file at its key frames: proved by decoding it, or left alone.
import CFFmpeg
import Shared

extension VideoFile {
  /// What decoding everything from the beginning gives: for each frame its packet and the digest of its picture.
  private struct Truth {
    var packets: [Int] = []
    var digests: [Digest128] = []
  }

  /// Finds out whether decoding may begin at the file's entry points, and sets `isProved` and `doubt`.
  ///
  /// The proof compares, picture by picture, decoding everything from the beginning with what loading would do: a new
  /// decoder at each entry point, and pictures skipped that no other refers to. Unless `deep` is set, the headers of
  /// H.264 and VP9 streams can take its place (`BitstreamProof`).
  /// - Parameter deep: decode the whole file in any case, and count what the decoder only logs as damage.
  /// - Throws: `VideoError` if the file is damaged.
  func prove(deep: Bool) throws {
    let index = packets.index
    (isProved, doubt) = (false, index.doubt)
    if !deep, doubt == nil, unsafe try BitstreamProof.isGiven(demuxer.parameters, packets) {
      isProved = true
      return
    }
    let truth = try decodeTruth(deep: deep)
    if doubt == nil { doubt = try objection(to: index, truth) }
    isProved = doubt == nil
  }

  private func decodeTruth(deep: Bool) throws -> Truth {
    var truth = Truth()
    DecoderLog.clear()
    _ = try decodeEveryFrame { _, frame in
      truth.packets.append(Int(clamping: frame.packet))
      truth.digests.append(frame.digest())
    }
    if deep, let complaint = DecoderLog.complaint {
      throw gateway.error("decode", "it is damaged: the decoder reports \"\(complaint)\"")
    }
    return truth
  }

  /// What differs between the truth and finding frames by their packets; nil if nothing does.
  private func objection(to index: PacketIndex, _ truth: Truth) throws -> String? {
    guard truth.packets.count == index.order.count else {
      return "the decoder gives \(truth.packets.count) pictures for \(index.order.count) packets"
    }
    if let frame = truth.packets.indices.first(where: { truth.packets[$0] != index.order[$0] }) {
      return "the timestamps order frame \(frame) differently from the decoder"
    }
    let runs = index.runs(for: truth.packets.indices)
    // Without skipping, a single run is what was decoded already.
    if runs.count == 1, !decoder.canSkip { return nil }
    // With it, each half of the frames is wanted once, so that each is found while its neighbours are skipped.
    for half in decoder.canSkip ? [0, 1] : [nil] as [Int?] {
      for run in runs {
        let isWanted = { (packet: Int) in run.frames[packet].map { half == nil || $0 % 2 == half } ?? false }
        var missing = run.frames.keys.count(where: isWanted)
        var different: Int?
        do {
          try decode(run, wants: isWanted) { packet, frame in
            guard let position = run.frames[packet] else { return }
            if isWanted(packet) { missing -= 1 }
            if different == nil, frame.digest() != truth.digests[position] { different = position }
          }
        } catch let error as VideoError where error.operation == "decode" {
          return "decoding from packet \(run.packets.lowerBound) fails: \(error.cause)"
        }
        if let different {
          return "frame \(different) looks different when decoding begins at packet \(run.packets.lowerBound)"
        }
        if missing != 0 { return "frames are missing when decoding begins at packet \(run.packets.lowerBound)" }
      }
    }
    return nil
  }
}
