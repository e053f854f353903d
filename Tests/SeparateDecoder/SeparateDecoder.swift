// A program that tests start to decode for them, as `worker` and `coordinator` start themselves. It also measures what
// decoding in another process costs.
import CLinux
import Foundation
import Glibc
import Shared
import Video

/// - `SeparateDecoder load FILE FRAMES SIZE`: loads a clip in another process again and again, with a line for each,
///   until it is killed.
/// - `SeparateDecoder bench FOLDER FRAMES SIZE ROUNDS`: loads the videos of a folder in this process and in another
///   one, in turn, and prints the medians.
@main
struct SeparateDecoder {
  static func main() throws {
    DecodingService.runIfAsked()
    let words = CommandLine.arguments.dropFirst()
    guard words.count >= 4, let frames = Int(words[3]), let size = Int(words[4]) else {
      exit(ExitStatus.usage.rawValue)
    }
    let form = ClipForm(frames: frames, size: size, training: true, seed: 1)
    switch words[1] {
    case "load": try load(words[2], form)
    default: try bench(words[2], form, rounds: Int(words.last ?? "") ?? 9)
    }
  }

  private static func load(_ path: String, _ form: ClipForm) throws {
    let loader = ClipLoader(decoders: DecodingPool())
    let request = ClipRequest(
      path: path, clip: 0, expectedBytes: 0, expectedHash: Digest128(high: 0, low: 0))
    for number in 1... {
      try loader.load(request, form, epoch: 0, into: loader.storage(count: form.clipElements))
      print("loaded \(number);")
      fflush(nil)
    }
  }

  private static func bench(_ folder: String, _ form: ClipForm, rounds: Int) throws {
    // As in a worker, which has threads: malloc takes no locks before the second one is there.
    keepFreedMemory()
    startThread(named: "idle") { while true { pause() } }
    let requests = (FileManager.default.enumerator(atPath: folder)?.compactMap { $0 as? String } ?? []).sorted()
      .compactMap { name -> ClipRequest? in
        let path = "\(folder)/\(name)"
        guard let clip = try? ClipProbe.probe(path, deep: false), clip.codec != "images" else { return nil }
        return ClipRequest(
          path: path, frames: clip.frames, isProved: clip.isProved, clip: 0, expectedBytes: clip.bytes,
          expectedHash: clip.hash)
      }
    let loaders = [ClipLoader(), ClipLoader(decoders: DecodingPool())]
    let storages = loaders.map { $0.storage(count: form.clipElements) }
    var ratios: [Double] = []
    var costs: [Double] = []
    var times = [0.0, 0.0]
    for round in 0...rounds {
      for start in stride(from: 0, to: requests.count, by: 4) {
        let few = requests[start..<min(requests.count, start + 4)]
        var seconds = [0.0, 0.0]
        var processor = [0.0, 0.0]
        for side in (round + start / 4) % 2 == 0 ? [0, 1] : [1, 0] {
          let before = processorSeconds()
          let time = try ContinuousClock().measure {
            for request in few { try loaders[side].load(request, form, epoch: round, into: storages[side]) }
          }
          seconds[side] = time / .seconds(1)
          processor[side] = processorSeconds() - before
        }
        // The first round starts the process and hashes the files.
        guard round > 0 else { continue }
        ratios.append(seconds[1] / seconds[0])
        costs.append(processor[1] / processor[0])
        for side in 0...1 { times[side] += 1000 * seconds[side] / Double(requests.count * rounds) }
      }
    }
    func quartiles(_ values: [Double]) -> String {
      let sorted = values.sorted()
      return String(
        format: "%.4f (quartiles %.4f, %.4f)", sorted[sorted.count / 2], sorted[sorted.count / 4],
        sorted[sorted.count * 3 / 4])
    }
    print(
      "\(requests.count) clips, \(rounds) rounds: "
        + String(format: "%.3f ms here, %.3f ms in another process; ", times[0], times[1])
        + "median ratio \(quartiles(ratios)), of processor time \(quartiles(costs))")
  }

  /// Of this process and of its children.
  private static func processorSeconds() -> Double {
    let children = (try? String(contentsOfFile: "/proc/self/task/\(getpid())/children", encoding: .utf8)) ?? ""
    return ([getpid()] + children.split(separator: " ").compactMap { pid_t($0) }).reduce(0) { sum, pid in
      var time = timespec()
      // The kernel's clock of a process: MAKE_PROCESS_CPUCLOCK(pid, CPUCLOCK_SCHED).
      clock_gettime(clockid_t(~pid << 3 | 2), &time)
      return sum + Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }
  }
}
