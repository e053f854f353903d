import Testing

@testable import Video

@Suite struct FrameSamplingTests {
  private func form(_ frames: Int, _ sampling: FrameSampling = .uniform, training: Bool, shuffle: Bool = false)
    -> ClipForm
  {
    ClipForm(frames: frames, size: 8, sampling: sampling, training: training, shuffleFrames: shuffle, seed: 3)
  }

  @Test("uniform training takes one frame of each segment, also where n < T", arguments: [1, 2, 5, 8, 9, 16, 101])
  func segments(count: Int) {
    for frames in [1, 2, 8, 16] {
      for clip in 0..<50 {
        let chosen = FrameSampling.frames(form(frames, training: true), count: count, epoch: 1, clip: clip)
        #expect(chosen.count == frames)
        for (i, frame) in chosen.enumerated() {
          let start = i * count / frames
          #expect(frame >= start && frame < max(start + 1, (i + 1) * count / frames))
        }
      }
    }
  }

  @Test("every frame is reachable in training, and none twice as often as it should be")
  func coverage() {
    var seen = [Int](repeating: 0, count: 21)
    for epoch in 0..<3000 {
      for frame in FrameSampling.frames(form(8, training: true), count: 21, epoch: epoch, clip: 5) { seen[frame] += 1 }
    }
    // Segments of 21 frames over 8 have 2 or 3 frames: each is taken 1000 to 1500 times.
    #expect(seen.allSatisfy { $0 > 880 && $0 < 1630 })
  }

  @Test("validation takes the centres and does not depend on the epoch")
  func centres() {
    #expect(FrameSampling.frames(form(4, training: false), count: 8, epoch: 0, clip: 0) == [1, 3, 5, 7])
    #expect(FrameSampling.frames(form(4, training: false), count: 9, epoch: 7, clip: 2) == [1, 3, 5, 7])
    #expect(FrameSampling.frames(form(4, training: false), count: 1, epoch: 0, clip: 0) == [0, 0, 0, 0])
    #expect(FrameSampling.frames(form(4, training: false), count: 2, epoch: 0, clip: 0) == [0, 0, 1, 1])
  }

  @Test("dense frames are a stride apart and wrap around; several clips start evenly spaced")
  func dense() {
    for clip in 0..<100 {
      let chosen = FrameSampling.frames(form(4, .dense(stride: 3), training: true), count: 12, epoch: 0, clip: clip)
      #expect(chosen[0] < 3 && zip(chosen, chosen.dropFirst()).allSatisfy { $1 == $0 + 3 })
    }
    var several = form(3, .dense(stride: 2), training: false)
    let starts = (0..<3).map { clip in
      several.view = ClipView(clip: clip, clips: 3)
      return FrameSampling.frames(several, count: 25, epoch: 0, clip: 0)[0]
    }
    #expect(starts == [0, 10, 20])
    #expect(
      FrameSampling.frames(form(4, .dense(stride: 2), training: true), count: 3, epoch: 0, clip: 0) == [0, 2, 1, 0])
  }

  @Test("shuffling reorders the same frames, differently for another clip")
  func shuffle() {
    let plain = FrameSampling.frames(form(8, training: true), count: 80, epoch: 2, clip: 4)
    let mixed = FrameSampling.frames(form(8, training: true, shuffle: true), count: 80, epoch: 2, clip: 4)
    #expect(mixed != plain && mixed.sorted() == plain)
  }

  @Test("seed, epoch and clip each change the draw; nothing else does")
  func keys() {
    let first = FrameSampling.frames(form(16, training: true), count: 300, epoch: 1, clip: 2)
    #expect(first == FrameSampling.frames(form(16, training: true), count: 300, epoch: 1, clip: 2))
    #expect(first != FrameSampling.frames(form(16, training: true), count: 300, epoch: 2, clip: 1))
    var other = form(16, training: true)
    other.seed = 4
    #expect(first != FrameSampling.frames(other, count: 300, epoch: 1, clip: 2))
  }
}
