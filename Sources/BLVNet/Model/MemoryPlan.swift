// Where in a lane's arena each activation and each gradient lies. Decided once, from lifetimes alone.

/// Offsets in elements for one clip; a lane for n clips multiplies them by n.
///
/// Time runs through the layers forward (layer i at time i), the head (time L), and back (layer i at time 2L − i).
/// Two blocks share memory only if their lifetimes do not meet.
struct MemoryPlan: Sendable {
  /// By value; the input's is unused, as it lies in the caller's memory.
  let values: [Int]
  /// By value; -1 where there is none.
  let gradients: [Int]
  /// By layer and source.
  let roles: [[GradientRole]]
  /// Elements of the arena for one clip.
  let count: Int

  private struct Block {
    let count: Int
    var begin: Int
    var end: Int
  }

  init(_ structure: Structure, training: Bool) {
    let layers = structure.layers
    let head = layers.count
    var blocks = structure.values.map { Block(count: MemoryPlan.aligned($0.count), begin: 0, end: 0) }
    for (i, layer) in layers.enumerated() {
      for result in layer.results { blocks[result].begin = i }
      for value in layer.sources + layer.results { blocks[value].end = max(blocks[value].end, i) }
      if training { for value in layer.kept { blocks[value].end = max(blocks[value].end, 2 * head - i) } }
    }
    blocks[structure.features].end = max(blocks[structure.features].end, head)

    var gradientBlock = [Int?](repeating: nil, count: structure.values.count)
    var roles = layers.map { $0.sources.map { _ in GradientRole.none } }
    if training {
      func newBlock(for value: Int, at time: Int) -> Int {
        blocks.append(Block(count: MemoryPlan.aligned(structure.values[value].count), begin: time, end: time))
        return blocks.count - 1
      }
      gradientBlock[structure.features] = newBlock(for: structure.features, at: head)
      for (i, layer) in layers.enumerated().reversed() {
        let time = 2 * head - i
        var free = layer.results.count == 1 ? gradientBlock[layer.results[0]] : nil
        for source in layer.inPlaceSources where gradientBlock[source] == nil && source != 0 {
          guard let block = free, let position = layer.sources.firstIndex(of: source) else { continue }
          gradientBlock[source] = block
          roles[i][position] = .inPlace
          free = nil
        }
        for (position, source) in layer.sources.enumerated() where source != 0 && roles[i][position] != .inPlace {
          if gradientBlock[source] == nil {
            gradientBlock[source] = newBlock(for: source, at: time)
            roles[i][position] = .write
          } else {
            roles[i][position] = .accumulate
          }
        }
        for value in layer.sources + layer.results {
          if let block = gradientBlock[value] { blocks[block].end = max(blocks[block].end, time) }
        }
      }
    }

    blocks[0] = Block(count: 0, begin: 0, end: -1)
    let offsets = MemoryPlan.place(blocks)
    values = Array(offsets[..<structure.values.count])
    gradients = gradientBlock.map { $0.map { offsets[$0] } ?? -1 }
    self.roles = roles
    count = zip(offsets, blocks).map { $0 + $1.count }.max() ?? 0
  }

  /// Whole cache lines.
  private static func aligned(_ count: Int) -> Int { (count + 15) & ~15 }

  /// First fit, the largest first.
  private static func place(_ blocks: [Block]) -> [Int] {
    var offsets = [Int](repeating: 0, count: blocks.count)
    var placed: [Int] = []
    for index in blocks.indices.sorted(by: { (blocks[$0].count, $1) > (blocks[$1].count, $0) }) {
      let block = blocks[index]
      var offset = 0
      for other in placed where blocks[other].begin <= block.end && block.begin <= blocks[other].end {
        if offset + block.count <= offsets[other] { break }
        offset = max(offset, offsets[other] + blocks[other].count)
      }
      offsets[index] = offset
      let position = placed.firstIndex { offsets[$0] > offset } ?? placed.count
      placed.insert(index, at: position)
    }
    return offsets
  }
}
