// The memory and the threads that a pass needs, and that lanes of several shapes share.
import Shared

/// What a lane works in. Lanes that share it must not work at the same time: nothing in it outlives a pass.
final class LaneMemory {
  let team: Team
  /// Activations and their gradients, as the lane's plan places them.
  private(set) var arena = AlignedStorage<UInt8>(count: 0)
  /// The input converted to bf16, if activations are bf16.
  private(set) var bf16Input = AlignedStorage<UInt16>(count: 0)
  /// One workspace for each thread, and its size in floats.
  private(set) var work = FloatStorage(count: 0)
  private(set) var workCount = 0
  private(set) var gradientScratch = FloatStorage(count: 0)
  /// Per-channel vectors, and the floats of each.
  private(set) var vectors = FloatStorage(count: 0)
  private(set) var vectorCount = 0
  private(set) var sumScratch = AlignedStorage<Double>(count: 0)
  private var scratch = LayerScratch()

  /// The most parts that a sum is divided into.
  static let mostParts = 8

  init(threads: Int) { team = Team(threads) }

  /// The bytes of the arena and of the workspaces.
  var bytes: Int { arena.count + 4 * (work.count + gradientScratch.count) }

  /// Makes room for a lane's activations, in bytes, and for its input in bf16, in elements.
  func grow(arena bytes: Int, bf16Input elements: Int) {
    if bytes > arena.count { arena = AlignedStorage(count: bytes) }
    if elements > bf16Input.count { bf16Input = AlignedStorage(count: elements) }
  }

  /// Makes room for what layers need.
  func grow(to wanted: LayerScratch) {
    var all = scratch
    all.grow(to: wanted)
    if all.workspace > scratch.workspace {
      // Round up to whole cache lines.
      workCount = (all.workspace + 15) / 16 * 16
      work = FloatStorage(count: workCount * team.count)
    }
    if all.gradient > scratch.gradient { gradientScratch = FloatStorage(count: all.gradient) }
    if all.span > scratch.span || all.vectors > scratch.vectors {
      vectorCount = all.span
      vectors = FloatStorage(count: all.vectors * vectorCount)
    }
    if all.sums > scratch.sums { sumScratch = AlignedStorage(count: Self.mostParts * all.sums) }
    scratch = all
  }
}
