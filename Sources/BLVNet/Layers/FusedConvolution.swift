// A convolution fused with the batch norm behind it, for evaluation.
import CKernels

/// dst = [ReLU](scale · (weights * src) + shift [+ residual]), in the convolution's epilogue. As the statistics are
/// constants, scale = weight / √(variance + ε) and shift = bias − mean · scale.
///
/// **Shapes:** see `Convolution` and `BatchNorm`.
struct FusedConvolution: ForwardLayer {
  let convolution: Convolution
  let norm: BatchNorm

  var name: String { convolution.name }
  var sources: [Int] { norm.residual.map { [convolution.src, $0] } ?? [convolution.src] }
  var results: [Int] { [norm.dst] }
  var epilogue: EpilogueKind { EpilogueKind(adds: norm.residual != nil, relu: norm.relu) }
  /// The residual, if it can be overwritten: the epilogue adds the sums to it in place.
  var inPlaceSource: Int? { norm.residual == convolution.src ? nil : norm.residual }

  func scratch(clips: Int, _ engine: any ConvolutionEngine, _ team: Team) -> LayerScratch {
    var scratch = norm.scratch(clips: clips, engine, team)
    for images in team.parts(convolution.frames * clips) {
      scratch.workspace = max(
        scratch.workspace, engine.prepare(convolution.shape, images: images, epilogue: epilogue))
    }
    return scratch
  }

  func forward(_ lane: Lane) {
    let dst = unsafe lane.value(norm.dst)
    if let residual = unsafe norm.residual.map({ unsafe lane.value($0) }), unsafe residual != dst {
      lane.team.part(lane.clips * norm.shape.count * lane.elementBytes, by: 4096) { bytes, _ in
        unsafe (dst + bytes.lowerBound).copyMemory(from: residual + bytes.lowerBound, byteCount: bytes.count)
      }
    }
    let (scale, shift) = unsafe norm.constants(lane)
    var epilogue = unsafe tamring_epilogue(scale: scale, shift: shift, adds: epilogue.adds, relu: epilogue.relu)
    unsafe convolution.forward(lane, epilogue: &epilogue, dst: dst)
  }
}
