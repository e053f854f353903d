// A convolution layer: the engine does the work.
import CKernels

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
  var kept: [Int] { weight.isFrozen ? [] : [src] }
  var multiplyAdds: Int { frames * shape.multiplyAdds }
  var parameterCount: Int { weight.count }

  func fused(with norm: BatchNorm) -> (any ForwardLayer)? { FusedConvolution(convolution: self, norm: norm) }

  func scratch(clips: Int, _ engine: any ConvolutionEngine, _ team: Team) -> LayerScratch {
    var scratch = LayerScratch(gradient: weight.count)
    for images in team.parts(frames * clips) {
      scratch.workspace = max(scratch.workspace, engine.prepare(shape, images: images))
    }
    return scratch
  }

  func forward(_ lane: Lane) { unsafe forward(lane, epilogue: nil, dst: lane.value(dst)) }

  func forward(_ lane: Lane, epilogue: UnsafePointer<tamring_epilogue>?, dst: UnsafeMutableRawPointer) {
    let (src, bytes) = unsafe (lane.value(src), lane.elementBytes)
    share(lane.clips * frames, .forward, lane) { images, thread in
      unsafe lane.engine.forward(
        shape, images: images.count, src: src + images.lowerBound * shape.inputCount * bytes,
        weights: lane.parameter(weight), epilogue: epilogue, dst: dst + images.lowerBound * shape.outputCount * bytes,
        workspace: lane.workspace(thread))
    }
  }

  func backward(_ lane: Lane, _ roles: [GradientRole], _ sink: GradientSink) throws {
    let images = lane.clips * frames
    let dDst = unsafe lane.gradient(dst)
    if !weight.isFrozen {
      let x = unsafe lane.value(src)
      share(shape.outputChannels, by: 16, .weights, lane) { outputs, thread in
        unsafe lane.engine.weightGradient(
          shape, images: images, outputs: outputs, src: x, dDst: dDst, dWeights: lane.parameterGradient,
          workspace: lane.workspace(thread))
      }
      try unsafe lane.emit(weight, sink)
    }
    guard roles[0] != .none else { return }
    let (dSrc, bytes) = unsafe (lane.gradient(src), lane.elementBytes)
    share(images, .data, lane) { images, thread in
      unsafe lane.engine.dataGradient(
        shape, images: images.count, dDst: dDst + images.lowerBound * shape.outputCount * bytes,
        weights: lane.parameter(weight), accumulate: roles[0] == .accumulate,
        dSrc: dSrc + images.lowerBound * shape.inputCount * bytes,
        workspace: lane.workspace(thread))
    }
  }

  /// Calls `body` with all of `count`, or on each thread with its part.
  private func share(
    _ count: Int, by unit: Int = 1, _ direction: ConvolutionDirection, _ lane: Lane, _ body: (Range<Int>, Int) -> Void
  ) {
    if lane.engine.isSeparable(shape, direction) {
      lane.team.part(count, by: unit, body)
    } else {
      body(0..<count, 0)
    }
  }
}
