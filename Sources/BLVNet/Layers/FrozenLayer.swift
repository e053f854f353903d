// A layer below everything that is trained, in its form for evaluation.

/// Runs forward in training, and never backward: nobody needs a gradient of its sources.
struct FrozenLayer: Layer {
  let layer: any ForwardLayer

  var name: String { layer.name }
  var sources: [Int] { layer.sources }
  var results: [Int] { layer.results }
  var kept: [Int] { [] }

  func scratch(clips: Int, _ engine: any ConvolutionEngine, _ team: Team) -> LayerScratch {
    layer.scratch(clips: clips, engine, team)
  }

  func forward(_ lane: Lane) { layer.forward(lane) }

  func backward(_ lane: Lane, _ roles: [GradientRole], _ sink: GradientSink) throws {
    preconditionFailure("\(name) is below everything that is trained")
  }
}
