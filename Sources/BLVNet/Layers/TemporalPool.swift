// The pool over time between the layers of a ResNet with temporal stride.
import CKernels
import Recipes

/// Pools three frames at stride 2, padding 1, for each channel and place: T frames become ⌊(T − 1) / 2⌋ + 1. `max`: the
/// padding never wins, and the gradient goes to the first of equal maxima. `avg`: a third of the sum, the padding
/// counting as zeros.
/// **Shapes:** src [N·T, H, W, C], dst [N·T', H, W, C].
struct TemporalPool: Layer {
  let name: String
  let source: Value
  let pooling: ModelRecipe.TemporalPooling
  let src: Int
  let dst: Int

  var sources: [Int] { [src] }
  var results: [Int] { [dst] }
  var kept: [Int] { pooling == .max ? [src, dst] : [] }
  var isRecomputed: Bool { true }

  private var frameSize: Int { source.count / source.frames }

  private func kernelShape(_ elements: Range<Int>) -> tamring_frame_pool_shape {
    tamring_frame_pool_shape(
      frames: Int64(source.frames), frame_size: Int64(frameSize), begin: Int64(elements.lowerBound),
      end: Int64(elements.upperBound))
  }

  func forward(_ lane: Lane) {
    let clips = Int64(lane.clips)
    lane.team.part(frameSize, by: 64) { elements, _ in
      var shape = kernelShape(elements)
      switch pooling {
      case .max: unsafe tamring_frame_max(lane.bf16, &shape, clips, lane.value(src), lane.value(dst))
      case .avg: unsafe tamring_frame_mean(lane.bf16, &shape, clips, lane.value(src), lane.value(dst))
      }
    }
  }

  func backward(_ lane: Lane, _ roles: [GradientRole], _ sink: GradientSink) throws {
    guard roles[0] != .none else { return }
    let (clips, adds) = (Int64(lane.clips), roles[0] == .accumulate)
    lane.team.part(frameSize, by: 64) { elements, _ in
      var shape = kernelShape(elements)
      switch pooling {
      case .max:
        unsafe tamring_frame_max_gradient(
          lane.bf16, &shape, clips, lane.value(src), lane.value(dst), lane.gradient(dst), adds, lane.gradient(src))
      case .avg:
        unsafe tamring_frame_mean_gradient(lane.bf16, &shape, clips, lane.gradient(dst), adds, lane.gradient(src))
      }
    }
  }
}
