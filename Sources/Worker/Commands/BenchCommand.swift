// `worker bench step`: times steps on this machine, and measures their memory.
import ArgumentParser
import BLVNet
import Foundation
import Glibc
import Recipes
import Ring
import Shared
import Training

struct BenchCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "bench", abstract: "Measures parts of training on this machine, on random data.",
    subcommands: [BenchStepCommand.self, BenchDecodeCommand.self, BenchAllReduceCommand.self])
}

/// Does what a worker does in a step, without decoding and without the ring: forward and backward passes, quantisation,
/// the optimizer. Prints a line of JSON after each step, so that a caller can alternate with other programs.
struct BenchStepCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "step", abstract: "Times training steps (or evaluations), and prints a line of JSON for each.")

  @Option(help: "The recipe; only its engine, precision, model, optimizer and batch.clips_per_lane count.")
  var recipe: String
  @Option(help: "Lanes in a step, each on a thread of its own.") var threads = 1
  @Option(help: "Threads that share each lane.") var laneThreads = 1
  @Option(help: "Steps to measure, after a warm-up step.") var steps = 5
  @Flag(help: "Evaluate instead of training.") var evaluate = false
  @Flag(help: "Wait for a line on standard input before each step.") var onRequest = false
  @Flag(help: "Print the time of the convolutions by shape at the end.") var layers = false

  func validate() throws {
    guard (1...1024).contains(threads) else { throw ValidationError("--threads must be from 1 to 1024") }
    guard (1...64).contains(laneThreads) else { throw ValidationError("--lane-threads must be from 1 to 64") }
    guard (1...1_000_000).contains(steps) else { throw ValidationError("--steps must be from 1 to 1000000") }
  }

  func run() throws {
    let recipe = try Recipe.read(path: recipe)
    let engine = TimedEngine(try recipe.makeEngine())
    let bench = try StepBench(
      recipe, try Network(recipe.model, engine: engine), threads: ComputeThreads(lanes: threads, each: laneThreads),
      training: !evaluate)
    bench.step()
    _ = engine.take()
    var rows: [TimedEngine.Row] = []
    for _ in 0..<steps {
      if onRequest, readLine() == nil { return }
      let before = usage()
      let seconds = ContinuousClock().measure(bench.step) / .seconds(1)
      let after = usage()
      let timed = engine.take()
      rows += timed
      let convolution = timed.reduce(0) { $0 + $1.seconds } / Double(threads * laneThreads)
      print(
        """
        {"seconds": \(seconds), "convolution_seconds": \(convolution), "clips": \(bench.clips), \
        "page_faults": \(after.ru_minflt - before.ru_minflt), "peak_bytes": \(after.ru_maxrss * 1024)}
        """)
      // The reader waits for this line before another program's turn.
      fflush(nil)
    }
    if layers { printLayers(rows) }
  }

  private func usage() -> rusage {
    var usage = rusage()
    unsafe getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
    return usage
  }

  private func printLayers(_ rows: [TimedEngine.Row]) {
    var sums: [String: (seconds: Double, adds: Int)] = [:]
    for row in rows {
      let s = row.shape
      let key =
        "\(row.direction.rawValue) \(s.kernel)x\(s.kernel)/\(s.stride) \(s.inputChannels)>\(s.outputChannels) at \(s.height)"
      let sum = sums[key] ?? (0, 0)
      sums[key] = (sum.seconds + row.seconds, sum.adds + row.multiplyAdds)
    }
    for (key, sum) in sums.sorted(by: { $0.value.seconds > $1.value.seconds }) {
      print(
        String(
          format: "%8.1f ms a step %7.1f GFLOP/s  ", 1000 * sum.seconds / Double(steps),
          2e-9 * Double(sum.adds) / sum.seconds) + key)
    }
  }
}

/// A worker's lanes and state, without data or network.
final class StepBench {
  private let recipe: Recipe
  private let network: Network
  private let lanes: [Lane]
  private let inputs: [FloatStorage]
  private let slots: StateSlots
  private let accumulator: GradientAccumulator?
  /// The clips of a whole step, of which these lanes may be a part.
  private let fullClips: Int
  private var number: UInt64 = 0
  private let pool: Team

  var clips: Int { lanes.count * recipe.batch.clipsPerLane }

  /// The sums of the last step.
  var partial: IntegerVectors { accumulator?.partial ?? IntegerVectors(gradientCount: 0, statisticCount: 0) }

  /// - Parameters:
  ///   - lanes: the lanes of the whole step, if other processes compute some of them.
  ///   - seed: the seed of the clips.
  init(
    _ recipe: Recipe, _ network: Network, threads: ComputeThreads, training: Bool, lanes total: Int? = nil,
    seed: UInt64 = 0
  ) throws {
    let clips = recipe.batch.clipsPerLane
    fullClips = (total ?? threads.lanes) * clips
    self.recipe = recipe
    self.network = network
    pool = Team(threads.lanes)
    lanes = (0..<threads.lanes).map { _ in
      Lane(network, maximumClips: clips, training: training, threads: threads.each)
    }
    inputs = (0..<threads.lanes).map { lane in
      let input = FloatStorage(count: clips * network.inputCount)
      var random = Philox(seed: seed + UInt64(lane), .selfTest)
      for i in 0..<input.count { input[i] = Float(random.unit() * 4 - 2) }
      return input
    }
    // Slots take no memory until something is written to them.
    slots = StateSlots(
      network, try recipe.optimizer.makeRule(), try UpdateSettings(recipe.optimizer, network.layout))
    slots.initialiseModel(seed: 1)
    // With the published initial values whole blocks are multiplied by zero.
    let parameters = slots.parameters
    for i in 0..<parameters.count where parameters[i] == 0 { parameters[i] = 0.125 }
    accumulator =
      training
      ? GradientAccumulator(
        tensorCounts: network.layout.gradients.map(\.count),
        statisticCount: network.layout.statisticCount + LaneStatistics.extra(), laneCount: total ?? threads.lanes) : nil
  }

  func step() {
    guard let accumulator else {
      return pool.run { [self] thread in
        _ = lanes[thread].evaluate(
          parameters: slots.parameters, statistics: slots.statistics, input: inputs[thread],
          clips: recipe.batch.clipsPerLane)
      }
    }
    accumulator.reset()
    let exponents = slots.exponents.array
    let attempt = GradientAccumulator.Attempt(seed: 1, step: number, exponents: exponents)
    let labels = (0..<recipe.batch.clipsPerLane).map { $0 % recipe.model.classes }
    pool.run { [self] thread in
      do {
        let result = try unsafe lanes[thread].train(
          parameters: slots.parameters, statistics: slots.statistics, input: inputs[thread],
          targets: labels.map { ClassTarget($0) }, dropout: DropoutKey(seed: 1, step: number, lane: thread)
        ) { tensor, gradient in
          unsafe accumulator.add(
            tensor: tensor, lane: thread, gradient: gradient, in: attempt, sharing: lanes[thread].share)
        }
        accumulator.addStatistics(
          LaneStatistics.entries(result, clips: labels.count, lanes: lanes.count), at: 0, lane: thread)
      } catch { preconditionFailure("the accumulator throws nothing, yet: \(error)") }
    }
    slots.apply(
      accumulator.partial.gradients, quantised: exponents, clips: clips, fullClips: fullClips,
      gradientBits: recipe.exchange.gradientBits, rate: 1e-3, step: number)
    for raised in accumulator.raised { slots.exponents[Int(raised.tensor)] = raised.exponent }
    number += 1
  }
}
