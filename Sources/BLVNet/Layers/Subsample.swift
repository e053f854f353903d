// The pixels and frames that a strided 1x1 convolution reads, so that what follows is a plain GEMM.
import CKernels

/// dst[t, y, x] = src[t · timeStride, y · stride, x · stride].
/// **Shapes:** src [N·T, H, W, C], dst [N·⌈T / timeStride⌉, ⌈H / stride⌉, ⌈W / stride⌉, C].
struct Subsample: Layer {
  let name: String
  let source: Value
  let result: Value
  let stride: Int
  let timeStride: Int
  let src: Int
  let dst: Int

  var sources: [Int] { [src] }
  var results: [Int] { [dst] }
  var kept: [Int] { [] }
  var isRecomputed: Bool { true }

  private var window: tamring_window {
    tamring_window(
      height: Int64(source.height), width: Int64(source.width), channels: Int64(source.channels), kernel: 1,
      stride: Int64(stride), padding: 0, out_height: Int64(result.height), out_width: Int64(result.width))
  }
  private var large: Int { source.count / source.frames }
  private var small: Int { result.count / result.frames }

  func forward(_ lane: Lane) {
    let (from, to, bytes) = unsafe (lane.value(src), lane.value(dst), lane.elementBytes)
    lane.team.part(lane.clips * result.frames) { frames, _ in
      var window = window
      for frame in frames {
        let read = frame / result.frames * source.frames + frame % result.frames * timeStride
        unsafe tamring_subsample(lane.bf16, &window, from + read * large * bytes, to + frame * small * bytes)
      }
    }
  }

  func backward(_ lane: Lane, _ roles: [GradientRole], _ sink: GradientSink) throws {
    guard roles[0] != .none else { return }
    let adds = roles[0] == .accumulate
    let (from, to, bytes) = unsafe (lane.gradient(dst), lane.gradient(src), lane.elementBytes)
    lane.team.part(lane.clips * source.frames) { frames, _ in
      var window = window
      for frame in frames {
        let (clip, t) = (frame / source.frames, frame % source.frames)
        let dSrc = unsafe to + frame * large * bytes
        if t % timeStride == 0 {
          let result = clip * result.frames + t / timeStride
          unsafe tamring_subsample_gradient(lane.bf16, &window, from + result * small * bytes, adds, dSrc)
        } else if !adds {
          unsafe dSrc.initializeMemory(as: UInt8.self, repeating: 0, count: large * bytes)
        }
      }
    }
  }
}
