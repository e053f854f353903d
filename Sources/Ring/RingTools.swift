// What the exchanges of one ring work with, step after step.
import Shared

final class RingTools {
  /// Threads that chunks may be encoded, decoded and added on.
  var hands = 1 {
    didSet { while codecs.count < hands { codecs.append(ChunkCodec(capacity: chunkValues)) } }
  }
  private let chunkValues: Int
  private var codecs: [ChunkCodec]
  var frames: FramePool
  /// The left neighbour's vectors, if they can be read from here.
  var left: NeighbourMemory?
  /// The right neighbour reads the vectors of the present step where they are.
  var isReadByRight = false

  init(chunkValues: Int) {
    self.chunkValues = chunkValues
    codecs = [ChunkCodec(capacity: chunkValues)]
    frames = FramePool(payload: chunkValues * MemoryLayout<Int32>.size)
  }

  /// Calls `body` for each piece with a codec that no other thread uses meanwhile.
  func share(_ pieces: Int, _ body: (Int, ChunkCodec) -> Void) {
    Hands.share(pieces, among: hands) { piece, hand in body(piece, codecs[hand]) }
  }
}
