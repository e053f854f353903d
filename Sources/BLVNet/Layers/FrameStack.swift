// Three neighbouring frames side by side: a 3x3x3 convolution is a 3x3 one over them.
import CKernels

/// dst[t, …, 3i + k] = src[t · stride + k − 1, …, i], zero beyond the clip's ends.
///
/// A kernel of three taps in time is three kernels in space over neighbouring frames, whose results add up. Over
/// stacked frames, the engine adds them up within one convolution, and the weights [O, I, 3, k, k] of PyTorch are those
/// of that convolution as they are: [O, 3·I, k, k].
/// **Shapes:** src [N·T, H, W, C], dst [N·(⌊(T − 1) / stride⌋ + 1), H, W, 3·C].
struct FrameStack: Layer {
  let name: String
  let source: Value
  let result: Value
  let stride: Int
  let src: Int
  let dst: Int

  var sources: [Int] { [src] }
  var results: [Int] { [dst] }
  var kept: [Int] { [] }
  var isRecomputed: Bool { true }

  /// Elements of a source frame.
  private var frameSize: Int { source.count / source.frames }

  func forward(_ lane: Lane) {
    let (from, to, bytes) = unsafe (lane.value(src), lane.value(dst), lane.elementBytes)
    lane.team.part(lane.clips * result.frames) { frames, _ in
      for frame in frames {
        let (clip, middle) = (frame / result.frames, frame % result.frames * stride)
        func source(_ step: Int) -> UnsafeMutableRawPointer? {
          let t = middle + step
          guard t >= 0, t < self.source.frames else { return nil }
          return unsafe from + (clip * self.source.frames + t) * frameSize * bytes
        }
        unsafe tamring_stack_frames(
          lane.bf16, Int64(frameSize), source(-1), source(0), source(1), to + frame * 3 * frameSize * bytes)
      }
    }
  }

  func backward(_ lane: Lane, _ roles: [GradientRole], _ sink: GradientSink) throws {
    guard roles[0] != .none else { return }
    let (from, to, bytes) = unsafe (lane.gradient(dst), lane.gradient(src), lane.elementBytes)
    lane.team.part(lane.clips * source.frames) { frames, _ in
      for frame in frames {
        let (clip, t) = (frame / source.frames, frame % source.frames)
        /// The stack that has the frame at place k.
        func stack(_ k: Int) -> UnsafeMutableRawPointer? {
          let middle = t + 1 - k
          guard middle >= 0, middle % stride == 0, middle / stride < result.frames else { return nil }
          return unsafe from + (clip * result.frames + middle / stride) * 3 * frameSize * bytes
        }
        unsafe tamring_stack_frames_gradient(
          lane.bf16, Int64(frameSize), stack(0), stack(1), stack(2), roles[0] == .accumulate,
          to + frame * frameSize * bytes)
      }
    }
  }
}
