// The hosts file: which machines take part, with how many workers each. Nothing is started or looked up here; how one
// line is read is in HostsFile+Line.swift.
import Foundation
import Shared

/// One line of the hosts file: `HOST[:SLOTS] [slots=N] [threads=N] [lane_threads=N] [user=NAME] [port=N] [address=A]
/// [data=PATH] [cache=PATH] [worker=PATH]`.
struct HostEntry: Equatable, Sendable {
  var host: String
  /// Workers that run there.
  var slots = 1
  /// Lanes that each worker computes at once, and threads that share each of them; nil: the worker decides.
  var threads: Int?
  var laneThreads: Int?
  /// The port of its ssh server; nil: what ssh's own settings say.
  var port: Int?
  /// The address that its workers listen at and tell their peers; nil: where their route to the coordinator leaves.
  var address: String?
  /// Where the host keeps its copy of the data; nil: the recipe's path.
  var data: String?
  /// Where it keeps shards from the web; nil: the worker decides.
  var cache: String?
  /// The path of the worker program there; nil: the same as here.
  var worker: String?
  /// The line's number, from 1.
  var line: Int
}

/// The place of one worker.
struct Slot: Equatable, Sendable {
  /// From 0, in the order of the file.
  var rank: Int
  var host: String
  var threads: Int?
  var laneThreads: Int?
  var port: Int?
  var address: String?
  var data: String?
  var cache: String?
  var worker: String?

  /// Whether its worker is started here rather than through ssh.
  var isHere: Bool { port == nil && isLocal(host) }
}

extension [Slot] {
  /// The hosts and how many workers each has, as in a hosts file: `localhost slots=2, far slots=1 threads=4`.
  var hosts: String {
    var counted: [(slot: Slot, count: Int)] = []
    for slot in self {
      if let last = counted.last, last.slot.host == slot.host, last.slot.threads == slot.threads,
        last.slot.laneThreads == slot.laneThreads
      {
        counted[counted.count - 1].count += 1
      } else {
        counted.append((slot, 1))
      }
    }
    return counted.map { slot, count in
      let threads = [slot.threads.map { " threads=\($0)" }, slot.laneThreads.map { " lane_threads=\($0)" }]
      return "\(slot.host) slots=\(count)" + threads.compactMap(\.self).joined()
    }.joined(separator: ", ")
  }
}

/// A parsed hosts file. A host may have several lines: its slots add up.
struct HostsFile: Equatable, Sendable {
  let entries: [HostEntry]

  /// The most slots that one line may ask for; more is surely a typo.
  static let maximumSlots = 1024

  /// One slot for each worker, ranks in the order of the file.
  var slots: [Slot] {
    let expanded = entries.flatMap { Array(repeating: $0, count: $0.slots) }
    return expanded.enumerated().map { rank, entry in
      Slot(
        rank: rank, host: entry.host, threads: entry.threads, laneThreads: entry.laneThreads, port: entry.port,
        address: entry.address, data: entry.data, cache: entry.cache, worker: entry.worker)
    }
  }

  /// - Throws: `LaunchError`: bad configuration naming the file and line, or I/O if the file cannot be read.
  init(path: String) throws {
    let data: Data
    do {
      data = try Data(contentsOf: URL(fileURLWithPath: path))
    } catch {
      throw LaunchError(
        .ioError, "hosts file \(path) cannot be read: give the path of an existing file to --workers")
    }
    guard let text = String(data: data, encoding: .utf8) else {
      throw LaunchError(.badConfiguration, "hosts file \(path) is not UTF-8 text: save it as UTF-8")
    }
    try self.init(text, origin: path)
  }

  /// The hosts of `--host`: `HOST[:SLOTS]`, separated by commas.
  /// - Throws: `LaunchError` (bad configuration).
  init(list: String) throws {
    try self.init(list.replacing(",", with: "\n"), origin: "--host \(list)", naming: false)
  }

  /// - Parameter origin: what error messages call the file.
  /// - Parameter lines: whether they name the line, too.
  /// - Throws: `LaunchError` (bad configuration) naming `origin` and the line.
  init(_ text: String, origin: String, naming lines: Bool = true) throws {
    var entries: [HostEntry] = []
    // Some editors put a byte-order mark in front. A carriage return and line feed are one Character to Swift.
    let plain = text.unicodeScalars.first == "\u{FEFF}" ? String(text.unicodeScalars.dropFirst()) : text
    let all = plain.split(omittingEmptySubsequences: false) { $0 == "\n" || $0 == "\r\n" || $0 == "\r" }
    for (index, line) in all.enumerated() {
      do {
        if let entry = try HostEntry(parsing: line, number: index + 1) { entries.append(entry) }
      } catch let problem as LineProblem {
        throw LaunchError(.badConfiguration, "\(origin)\(lines ? ":\(index + 1)" : ""): \(problem.text)")
      }
    }
    guard !entries.isEmpty else {
      throw LaunchError(.badConfiguration, "\(origin) names no host: add a line such as 'localhost slots=2'")
    }
    self.entries = entries
  }
}
