// How long a lane takes: not a test of the suite, but run on demand with TAMRING_BENCH=1.
import BLVNet
import Foundation
import Shared
import Testing

@Suite struct LaneTimingTests {
  @Test(
    "a lane's time per clip is printed", .enabled(if: ProcessInfo.processInfo.environment["TAMRING_BENCH"] != nil),
    arguments: [(16, 8, 64, 8), (64, 16, 224, 1)])
  func timing(_ width: Int, _ groups: Int, _ size: Int, _ clips: Int) throws {
    var model = ModelRecipe()
    (model.width, model.groups, model.inputSize) = (width, groups, size)
    model.classes = width == 64 ? 400 : 6
    let network = try Network(model, engine: .onednn)
    let parameters = network.initialParameters(seed: 1)
    let lane = Lane(network, maximumClips: clips)
    let input = FloatStorage(count: clips * network.inputCount)
    var random = Philox(seed: 2, .selfTest)
    for i in 0..<input.count { input[i] = Float(random.unit() * 4 - 2) }
    let labels = (0..<clips).map { $0 % model.classes }
    var times: [Double] = []
    let repeats = width == 64 ? 3 : 8
    for step in 0..<repeats {
      let clock = ContinuousClock()
      let time = try clock.measure {
        _ = try lane.train(
          parameters: parameters, input: input, labels: labels,
          dropout: DropoutKey(seed: 1, step: UInt64(step), lane: 0)
        ) { _, _ in }
      }
      times.append(time / .milliseconds(1) / Double(clips))
    }
    times.sort()
    print(
      "width \(width), \(groups) frames, \(size) px, \(clips) clips: \(times[0])…\(times[repeats - 1]) ms a clip,",
      "median \(times[repeats / 2]); lane \(lane.memoryBytes >> 20) MB")
  }
}
