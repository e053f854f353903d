// The codecs, buffers and mapped memory that the exchanges of one ring reuse from step to step.
import Shared

final class RingTools {
  /// Threads that may encode, decode and add chunks.
  var threads = 1 {
    didSet { while codecs.count < threads { codecs.append(ChunkCodec(capacity: chunkValues)) } }
  }
  private let chunkValues: Int
  private var codecs: [ChunkCodec]
  var frames: FramePool
  /// The left neighbour's vectors, if they can be read in shared memory.
  var left: SharedMemoryTransport?
  /// Whether the right neighbour reads this step's vectors in shared memory.
  var isReadByRight = false

  init(chunkValues: Int) {
    self.chunkValues = chunkValues
    codecs = [ChunkCodec(capacity: chunkValues)]
    frames = FramePool(payload: chunkValues * MemoryLayout<Int32>.size)
  }

  /// Calls `body` once for each of `count` chunks, on up to `threads` threads; each thread has a codec of its own.
  func forEach(_ count: Int, _ body: (Int, ChunkCodec) -> Void) {
    Parallel.forEach(count, threads: threads) { index, thread in body(index, codecs[thread]) }
  }
}
