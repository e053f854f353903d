// What shows that this machine computes and decodes to the same bits as the others, before it takes part.
import BLVNet
import Ring
import Shared
import Training
import Video
import Wire

enum LaneSelfTest {
  /// Computes one clip of fixed numbers with fixed weights, forward and backward, in the shapes of the run, and
  /// quantises some of them; and decodes the first clip of the index. Kernels of different CPU levels, and versions of
  /// libraries and of ours, show here.
  /// - Returns: the digests, and why no clip at all can be read, if so.
  /// - Parameter lanes: by the shape of their clips.
  static func run(
    _ context: RunContext, on lanes: [ClipShape: Lane], _ loader: ClipLoader
  ) -> (SelfTest, dataLost: String?) {
    let reading = PatientRead { () -> (Digest128?, String?) in
      let clip = decoded(context, loader)
      return (clip, clip == nil ? DataProbe.problem(context, loader) : nil)
    }
    let computed = computed(context, on: lanes)
    let limit = context.rules.readAfter
    let (clip, problem) = reading.result(within: limit) ?? (nil, "nothing was read for \(limit.components.seconds) s")
    return (SelfTest(lane: computed, clip: clip), problem)
  }

  private static func computed(_ context: RunContext, on lanes: [ClipShape: Lane]) -> Digest128 {
    let parameters = context.network.sampleParameters(seed: 1)
    let input = FloatStorage(count: lanes.keys.map(\.elements).max() ?? 0)
    var random = Philox(seed: 1, .selfTest)
    for i in 0..<input.count { input[i] = Float(random.unit() * 4 - 2) }
    let stream = Digest128Stream()
    do {
      for (_, lane) in lanes.sorted(by: { ($0.key.frames, $0.key.size) > ($1.key.frames, $1.key.size) }) {
        let result = try unsafe lane.train(
          parameters: parameters, statistics: context.network.initialStatistics(), input: input,
          targets: [ClassTarget(0)], dropout: DropoutKey(seed: 1, step: 0, lane: 0)
        ) { _, gradient in unsafe stream.update(UnsafeRawBufferPointer(gradient)) }
        unsafe (result.logits + result.losses).withUnsafeBytes { unsafe stream.update($0) }
      }
    } catch { preconditionFailure("the sink of the self-test throws nothing, yet: \(error)") }
    let quantised = GradientAccumulator(tensorCounts: [min(input.count, 5000)], statisticCount: 0, laneCount: 1)
    quantised.add(tensor: 0, lane: 0, gradient: input, in: .init(seed: 1, step: 0, exponents: [-3]))
    unsafe stream.update(UnsafeRawBufferPointer(quantised.partial.gradients.bytes))
    return stream.finish()
  }

  /// Nil where the clip cannot be decoded here: that is another matter, which the journal settles clip by clip.
  private static func decoded(_ context: RunContext, _ loader: ClipLoader) -> Digest128? {
    let form = context.form(training: true)
    let output = loader.storage(count: form.clipElements)
    do { try loader.load(context.trainingRequest(0), form, epoch: 0, into: output) } catch { return nil }
    return unsafe Digest128(of: UnsafeRawBufferPointer(output.bytes))
  }
}
