// The place of each activation and gradient in a lane's arena, planned once, from lifetimes alone.

/// Offsets in elements, for one clip; a lane for n clips multiplies them by n.
///
/// Time runs through the layers forward (layer i at time i), the head (time L), and back (layer i at time 2L − i).
/// Two blocks share memory only if their lifetimes do not overlap.
struct MemoryPlan: Sendable {
  /// By value. The input's is unused, because it lies in the caller's memory.
  let values: [Int]
  /// By value, in the backward pass, where recomputed values lie elsewhere.
  let valuesBackward: [Int]
  /// By value; -1 if it has no gradient.
  let gradients: [Int]
  /// By layer and source.
  let roles: [[GradientRole]]
  /// By layer: the layers to run forward again, in this order, before its backward pass.
  let recomputed: [[Int]]
  /// The elements of the arena, for one clip.
  let count: Int

  private struct Block {
    let count: Int
    var begin: Int
    var end: Int

    init(for value: Value, _ begin: Int, _ end: Int) {
      // Round up to whole cache lines, in bf16 too.
      count = (value.count + 31) & ~31
      self.begin = begin
      self.end = end
    }
  }

  /// The plan for training.
  init(training structure: Structure) {
    var blocks = Self.forward(structure, structure.layers)
    let (backward, recomputed) = Self.keep(structure, &blocks)
    let (gradient, roles) = Self.flow(structure, &blocks)

    let offsets = Self.place(blocks.dropFirst())
    values = structure.values.indices.map { offsets[$0] }
    valuesBackward = backward.map { offsets[$0] }
    gradients = gradient.map { $0.map { offsets[$0] } ?? -1 }
    self.roles = roles
    self.recomputed = recomputed
    count = zip(offsets, blocks).dropFirst().map { $0 + $1.count }.max() ?? 0
  }

  /// The plan for evaluation: nothing is kept, and a result overwrites a source that nobody reads later.
  init(evaluating structure: Structure) {
    let layers = structure.evaluationLayers
    var blocks = Self.forward(structure, layers)
    var home = Array(blocks.indices)
    for (i, layer) in layers.enumerated() {
      guard let source = layer.inPlaceSource, source != 0, blocks[source].end == i, let result = layer.results.first
      else { continue }
      home[result] = home[source]
      blocks[home[result]].end = blocks[result].end
    }
    let written = Set(layers.flatMap(\.results))
    // Values that share a home need its memory only once.
    let used = blocks.indices.filter { written.contains($0) && home[$0] == $0 }
    let offsets = Self.place(ArraySlice(used.map { blocks[$0] }))
    let places = Dictionary(uniqueKeysWithValues: zip(used, offsets))
    values = home.map { places[$0] ?? 0 }
    valuesBackward = []
    gradients = []
    roles = []
    recomputed = []
    count = zip(used, offsets).map { blocks[$0].count + $1 }.max() ?? 0
  }

  /// The lifetime of each value in the forward pass.
  private static func forward(_ structure: Structure, _ layers: [any ForwardLayer]) -> [Block] {
    var blocks = structure.values.map { Block(for: $0, 0, 0) }
    for (i, layer) in layers.enumerated() {
      for result in layer.results { blocks[result].begin = i }
      for value in layer.sources + layer.results { blocks[value].end = max(blocks[value].end, i) }
    }
    blocks[structure.head.features].end = max(blocks[structure.head.features].end, layers.count)
    return blocks
  }

  /// Extends the life of what the backward pass reads: in its own block or, if recomputed, in a later one.
  /// - Returns: the block of each value in the backward pass, and by layer, the layers to recompute before it.
  private static func keep(_ structure: Structure, _ blocks: inout [Block]) -> ([Int], [[Int]]) {
    let (layers, head) = (structure.layers, structure.layers.count)
    var reads = [[Int]](repeating: [], count: structure.values.count)
    for (i, layer) in layers.enumerated() {
      for value in layer.kept { reads[value].append(2 * head - i) }
    }
    var backward = Array(structure.values.indices)
    var recomputed = layers.map { _ in [Int]() }
    // Last to first, because their sources may have to be recomputed as well.
    for (i, layer) in layers.enumerated().reversed() where layer.isRecomputed {
      guard let time = layer.results.flatMap({ reads[$0] }).min() else { continue }
      recomputed[2 * head - time].insert(i, at: 0)
      for source in layer.sources { reads[source].append(time) }
      for result in layer.results {
        backward[result] = blocks.count
        blocks.append(Block(for: structure.values[result], time, time))
      }
    }
    for (value, times) in reads.enumerated() {
      for time in times { blocks[backward[value]].end = max(blocks[backward[value]].end, time) }
    }
    return (backward, recomputed)
  }

  /// Assigns each gradient a block, that of the result's gradient if possible.
  /// - Returns: the block of each value's gradient, and what each layer does with the gradients of its sources.
  private static func flow(_ structure: Structure, _ blocks: inout [Block]) -> ([Int?], [[GradientRole]]) {
    let head = structure.layers.count
    var gradient = [Int?](repeating: nil, count: structure.values.count)
    let wanted = learnt(structure)
    var roles = structure.layers.map { $0.sources.map { _ in GradientRole.none } }
    func newBlock(for value: Int, at time: Int) -> Int {
      blocks.append(Block(for: structure.values[value], time, time))
      return blocks.count - 1
    }
    gradient[structure.head.features] = newBlock(for: structure.head.features, at: head)
    for (i, layer) in structure.layers.enumerated().reversed() {
      let time = 2 * head - i
      var free = layer.results.count == 1 ? gradient[layer.results[0]] : nil
      for source in layer.inPlaceSources where gradient[source] == nil && wanted[source] {
        guard let block = free, let position = layer.sources.firstIndex(of: source) else { continue }
        gradient[source] = block
        roles[i][position] = .inPlace
        free = nil
      }
      for (position, source) in layer.sources.enumerated()
      where wanted[source] && roles[i][position] != .inPlace {
        roles[i][position] = gradient[source] == nil ? .write : .accumulate
        gradient[source] = gradient[source] ?? newBlock(for: source, at: time)
      }
      for value in layer.sources + layer.results {
        if let block = gradient[value] { blocks[block].end = max(blocks[block].end, time) }
      }
    }
    return (gradient, roles)
  }

  /// By value: whether it depends on a parameter, so that its gradient is of use.
  private static func learnt(_ structure: Structure) -> [Bool] {
    var learnt = [Bool](repeating: false, count: structure.values.count)
    for layer in structure.layers {
      let depends = layer.parameterCount > 0 || layer.sources.contains { learnt[$0] }
      for result in layer.results { learnt[result] = depends }
    }
    return learnt
  }

  /// First fit, largest block first.
  private static func place(_ blocks: ArraySlice<Block>) -> [Int] {
    var offsets = [Int](repeating: 0, count: blocks.endIndex)
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
