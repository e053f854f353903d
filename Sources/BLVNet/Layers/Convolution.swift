// A convolution layer: the engine does the work.

/// dst = weights * src. **Shapes:** src [N·frames, H, W, I], dst [N·frames, H', W', O], weights [O, I, k, k].
struct Convolution: Layer {
  let name: String
  let shape: ConvolutionShape
  let frames: Int
  let weight: TensorReference
  let src: Int
  let dst: Int

  var sources: [Int] { [src] }
  var results: [Int] { [dst] }
  var kept: [Int] { [src] }
  var multiplyAdds: Int { frames * shape.multiplyAdds }
  var parameterCount: Int { weight.count }

  func forward(_ lane: Lane) {
    unsafe lane.engine.forward(
      shape, images: lane.clips * frames, src: lane.value(src), weights: lane.parameter(weight), finish: nil,
      dst: lane.value(dst), workspace: lane.workspace)
  }

  func backward(_ lane: Lane, _ roles: [GradientRole], _ sink: GradientSink) throws {
    let images = lane.clips * frames
    let dDst = unsafe lane.gradient(dst)
    unsafe lane.engine.weightGradient(
      shape, images: images, src: lane.value(src), dDst: dDst, dWeights: lane.parameterGradient,
      workspace: lane.workspace)
    try unsafe lane.emit(weight, sink)
    if roles[0] != .none {
      unsafe lane.engine.dataGradient(
        shape, images: images, dDst: dDst, weights: lane.parameter(weight),
        accumulate: roles[0] == .accumulate, dSrc: lane.gradient(src), workspace: lane.workspace)
    }
  }
}
