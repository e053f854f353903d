import Testing

@testable import Video

@Suite struct FrameSamplingTests {
  private func form(
    _ frames: Int, _ sampling: FrameSampling = .uniform, perGroup: Int = 1, training: Bool, shuffle: Bool = false
  ) -> ClipForm {
    ClipForm(
      frames: frames, size: 8, sampling: sampling, framesPerGroup: perGroup, training: training,
      shuffleFrames: shuffle, seed: 3)
  }

  /// All views of a video in evaluation.
  private func views(_ frames: Int, _ sampling: FrameSampling = .uniform, count: Int, clips: Int) -> [[Int]] {
    (0..<clips).map { clip in
      var form = form(frames, sampling, training: false)
      form.view = ClipView(clip: clip, clips: clips)
      return FrameSampling.frames(form, count: count, epoch: 7, clip: 9)
    }
  }

  /// A number that stands for a list, as the script below computes it.
  private func digest(_ numbers: [Int]) -> UInt64 {
    // 2^61 divides 2^64, so that overflow does no harm.
    numbers.reduce(0) { ($0 &* 1_000_003 &+ UInt64($1) &+ 1) & ((1 << 61) - 1) }
  }

  // MARK: Training

  @Test("uniform training takes the same places of all segments", arguments: [8, 9, 16, 101, 300])
  func segments(count: Int) {
    for (frames, perGroup) in [(1, 1), (2, 1), (8, 1), (8, 2), (8, 4), (8, 8)]
    where count / (frames / perGroup) >= perGroup {
      let groups = frames / perGroup
      let length = count / groups
      for clip in 0..<50 {
        let chosen = FrameSampling.frames(
          form(frames, perGroup: perGroup, training: true), count: count, epoch: 1, clip: clip)
        #expect(chosen.count == frames && chosen == chosen.sorted() && Set(chosen).count == frames)
        let places = chosen.prefix(perGroup)
        #expect(places.allSatisfy { $0 >= 0 && $0 < length })
        #expect(chosen == (0..<groups).flatMap { group in places.map { group * length + $0 } })
      }
    }
  }

  @Test("a video with fewer frames than are needed gives random ones, sorted", arguments: [1, 2, 5, 7])
  func short(count: Int) {
    var seen = Set<[Int]>()
    for clip in 0..<200 {
      let chosen = FrameSampling.frames(form(8, training: true), count: count, epoch: 1, clip: clip)
      #expect(chosen.count == 8 && chosen == chosen.sorted() && chosen.allSatisfy { $0 >= 0 && $0 < count })
      seen.insert(chosen)
    }
    #expect(seen.count == 1 || count > 1)
    // 16 frames in pairs from 8 segments need 16 frames.
    let pairs = FrameSampling.frames(form(16, perGroup: 2, training: true), count: 15, epoch: 1, clip: 3)
    #expect(pairs.count == 16)
  }

  @Test("each place of a segment is as likely as the others, also in groups")
  func coverage() {
    for perGroup in [1, 2] {
      var seen = [Int](repeating: 0, count: 21)
      for epoch in 0..<3000 {
        let chosen = FrameSampling.frames(
          form(8, perGroup: perGroup, training: true), count: 21, epoch: epoch, clip: 5)
        for frame in chosen { seen[frame] += 1 }
      }
      // Segments have ⌊21/8⌋ = 2 frames, or ⌊21/4⌋ = 5; what is left over at the end is never taken.
      let (taken, expected) = perGroup == 1 ? (16, 1500) : (20, 1200)
      #expect(seen.prefix(taken).allSatisfy { abs($0 - expected) < 150 })
      #expect(seen.dropFirst(taken).allSatisfy { $0 == 0 })
    }
  }

  @Test("dense frames are a stride apart and wrap around; the start is drawn below n − stride · T")
  func dense() {
    var starts = Set<Int>()
    for clip in 0..<200 {
      let chosen = FrameSampling.frames(form(4, .dense(stride: 3), training: true), count: 15, epoch: 0, clip: clip)
      #expect(zip(chosen, chosen.dropFirst()).allSatisfy { $1 == $0 + 3 })
      starts.insert(chosen[0])
    }
    #expect(starts == [0, 1, 2])
    #expect(
      FrameSampling.frames(form(4, .dense(stride: 2), training: true), count: 3, epoch: 0, clip: 0) == [0, 2, 1, 0])
  }

  // MARK: Evaluation: the numbers are those of the reference implementation's `_get_val_indices`, computed with numpy
  // 2.4.6 by its own lines, minus 1.

  @Test("the middles of long videos are the reference's")
  func middles() {
    #expect(views(8, count: 9, clips: 1) == [[0, 1, 2, 3, 5, 6, 7, 8]])
    #expect(views(8, count: 21, clips: 1) == [[1, 3, 6, 9, 11, 14, 17, 19]])
    #expect(
      views(8, count: 21, clips: 3) == [
        [0, 2, 5, 8, 10, 13, 16, 18], [1, 3, 6, 9, 11, 14, 17, 19], [2, 4, 7, 10, 12, 15, 18, 20],
      ])
    #expect(
      views(8, count: 250, clips: 2) == [
        [15, 46, 78, 109, 140, 171, 203, 234], [16, 47, 79, 110, 141, 172, 204, 235],
      ])
    #expect(
      views(16, count: 300, clips: 1) == [
        [9, 28, 46, 65, 84, 103, 121, 140, 159, 178, 196, 215, 234, 253, 271, 290]
      ])
  }

  @Test("the random frames of short videos are the reference's, draw by draw")
  func seeded() {
    #expect(views(8, count: 8, clips: 1) == [[0, 3, 3, 3, 4, 5, 7, 7]])
    #expect(views(8, count: 5, clips: 1) == [[0, 1, 2, 3, 3, 3, 3, 4]])
    #expect(views(8, count: 1, clips: 3) == [[Int]](repeating: [Int](repeating: 0, count: 8), count: 3))
    #expect(
      views(16, count: 11, clips: 4) == [
        [0, 1, 2, 3, 3, 3, 4, 5, 5, 6, 7, 7, 8, 8, 9, 10], [0, 0, 1, 2, 2, 4, 4, 5, 5, 5, 6, 7, 8, 9, 9, 10],
        [1, 2, 2, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 8, 10], [0, 3, 3, 5, 5, 6, 7, 8, 8, 8, 9, 9, 9, 10, 10, 10],
      ])
  }

  @Test("many lengths, frames and clips at once")
  func many() {
    // h = 0; for x in numbers: h = (h * 1000003 + x + 1) % (1 << 61)
    var short: [Int] = []
    for frames in [2, 8, 16, 32] {
      for count in 1..<3 * frames {
        for clips in [1, 2, 3, 4, 5, 10] { short += views(frames, count: count, clips: clips).flatMap { $0 } }
      }
    }
    #expect(short.count == 99_650 && digest(short) == 1_306_836_138_050_725_399)
    var long: [Int] = []
    for frames in [8, 16, 32] {
      for count in stride(from: frames + 1, to: 1200, by: 11) {
        for clips in [1, 2, 3, 10, 25] { long += views(frames, count: count, clips: clips).flatMap { $0 } }
      }
    }
    #expect(long.count == 246_984 && digest(long) == 1_874_093_269_989_898_871)
    var dense: [Int] = []
    for frames in [8, 16] {
      for step in [1, 2, 4, 8] {
        for count in stride(from: 1, to: 400, by: 7) {
          for clips in [1, 2, 3, 4, 7, 10] {
            dense += views(frames, .dense(stride: step), count: count, clips: clips).flatMap { $0 }
          }
        }
      }
    }
    #expect(dense.count == 147_744 && digest(dense) == 48_062_746_812_249_780)
  }

  @Test("numpy's generator: the words and choices of RandomState(0), (1) and (7)")
  func generator() {
    // numpy.random.seed(s); numpy.random.randint(0, 1 << 32, size=5, dtype=numpy.uint64), and choice(1000, 12).
    for (seed, words, choices) in [
      (
        UInt32(0), [2_357_136_044, 2_546_248_239, 3_071_714_933, 3_626_093_760, 2_588_848_963] as [UInt32],
        [684, 559, 629, 192, 835, 763, 707, 359, 9, 723, 277, 754]
      ),
      (
        1, [1_791_095_845, 4_282_876_139, 3_093_770_124, 4_005_303_368, 491_263],
        [37, 235, 908, 72, 767, 905, 715, 645, 847, 960, 144, 129]
      ),
      (
        7, [327_741_615, 976_413_892, 3_349_725_721, 1_369_975_286, 1_882_953_283],
        [175, 196, 537, 502, 579, 211, 919, 615, 348, 185, 398, 535]
      ),
    ] {
      var twister = MersenneTwister(seed: seed)
      let drawn = (0..<5).map { _ in twister.nextWord() }
      #expect(drawn == words)
      var fresh = MersenneTwister(seed: seed)
      let chosen = fresh.choices(below: 1000, count: 12)
      #expect(chosen == choices)
    }
  }

  // MARK: Both

  @Test("shuffling reorders the same frames, differently for another clip")
  func shuffle() {
    let plain = FrameSampling.frames(form(8, training: true), count: 80, epoch: 2, clip: 4)
    let mixed = FrameSampling.frames(form(8, training: true, shuffle: true), count: 80, epoch: 2, clip: 4)
    #expect(mixed != plain && mixed.sorted() == plain)
  }

  @Test("seed, epoch and clip each change the draw; nothing else does")
  func keys() {
    let first = FrameSampling.frames(form(16, training: true), count: 3000, epoch: 1, clip: 2)
    #expect(first == FrameSampling.frames(form(16, training: true), count: 3000, epoch: 1, clip: 2))
    #expect(first != FrameSampling.frames(form(16, training: true), count: 3000, epoch: 2, clip: 1))
    var other = form(16, training: true)
    other.seed = 4
    #expect(first != FrameSampling.frames(other, count: 3000, epoch: 1, clip: 2))
  }
}
