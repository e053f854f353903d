// The hosts file: which machines take part, with how many workers each. Nothing is started or looked up here.
import Foundation
import Shared

/// One line of the hosts file: `HOST [slots=N] [threads=N] [lane_threads=N] [address=A] [data=PATH] [worker=PATH] [key=value…]`.
struct HostEntry: Equatable, Sendable {
  var host: String
  /// Workers that run there.
  var slots = 1
  /// Lanes that each worker computes at once, and threads that share each of them; nil: the worker decides.
  var threads: Int?
  var laneThreads: Int?
  /// The address that its workers listen at and tell their peers; nil: where their route to the coordinator leaves.
  var address: String?
  /// Where the host keeps its copy of the data; nil: the recipe's path.
  var data: String?
  /// The path of the worker program there; nil: the same as here.
  var worker: String?
  /// Every other `key=value`, for whoever knows it.
  var options: [String: String] = [:]
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
  var address: String?
  var data: String?
  var worker: String?
  var options: [String: String] = [:]
}

/// A parsed hosts file. A host may have several lines: its slots add up.
struct HostsFile: Equatable, Sendable {
  let entries: [HostEntry]

  /// The most slots that one line may ask for: beyond it stands a slip of the finger.
  static let maximumSlots = 1024

  /// One slot for each worker, ranks in the order of the file.
  var slots: [Slot] {
    let expanded = entries.flatMap { Array(repeating: $0, count: $0.slots) }
    return expanded.enumerated().map { rank, entry in
      Slot(
        rank: rank, host: entry.host, threads: entry.threads, laneThreads: entry.laneThreads, address: entry.address,
        data: entry.data, worker: entry.worker, options: entry.options)
    }
  }

  /// - Throws: `LaunchError` (bad configuration) naming the file and line, or that the file cannot be read.
  init(path: String) throws {
    let data: Data
    do {
      data = try Data(contentsOf: URL(fileURLWithPath: path))
    } catch {
      throw LaunchError(
        .badConfiguration, "hosts file \(path) cannot be read: give the path of an existing file to --workers")
    }
    guard let text = String(data: data, encoding: .utf8) else {
      throw LaunchError(.badConfiguration, "hosts file \(path) is not UTF-8 text: write it anew as plain text")
    }
    try self.init(text, origin: path)
  }

  /// - Parameter origin: what error messages call the file.
  /// - Throws: `LaunchError` (bad configuration) naming `origin` and the line.
  init(_ text: String, origin: String) throws {
    var entries: [HostEntry] = []
    // A carriage return and line feed are one Character to Swift.
    let lines = text.split(omittingEmptySubsequences: false) { $0 == "\n" || $0 == "\r\n" }
    for (index, line) in lines.enumerated() {
      do {
        if let entry = try Self.entry(of: line, number: index + 1) { entries.append(entry) }
      } catch let problem as LineProblem {
        throw LaunchError(.badConfiguration, "\(origin):\(index + 1): \(problem.text)")
      }
    }
    guard !entries.isEmpty else {
      throw LaunchError(.badConfiguration, "\(origin) names no host: add a line such as 'localhost slots=2'")
    }
    self.entries = entries
  }

  private struct LineProblem: Error { let text: String }

  private static func entry(of line: Substring, number: Int) throws -> HostEntry? {
    var words: [Substring] = []
    for word in line.split(whereSeparator: \.isWhitespace) {
      if word.hasPrefix("#") { break }
      words.append(word)
    }
    guard let first = words.first else { return nil }
    var entry = HostEntry(host: try host(String(first)), line: number)
    var seen: Set<Substring> = []
    for word in words.dropFirst() {
      guard let sign = word.firstIndex(of: "="), sign != word.startIndex else {
        throw LineProblem(text: "'\(word)' is not of the form key=value; write one host a line, such as 'HOST slots=2'")
      }
      let key = word[..<sign]
      let value = String(word[word.index(after: sign)...])
      guard !value.isEmpty else { throw LineProblem(text: "'\(key)=' has no value: give one, or leave it out") }
      guard seen.insert(key).inserted else { throw LineProblem(text: "'\(key)' is given twice: keep one") }
      switch key {
      case "slots": entry.slots = try integer(value, key, 1...maximumSlots)
      case "threads": entry.threads = try integer(value, key, 1...1024)
      case "lane_threads": entry.laneThreads = try integer(value, key, 1...64)
      case "address": entry.address = try address(value)
      case "data": entry.data = value
      case "worker": entry.worker = value
      default: entry.options[String(key)] = value
      }
    }
    return entry
  }

  /// A name, user@name or address. What ssh would take for an option never passes.
  private static func host(_ word: String) throws -> String {
    if word.contains("=") {
      throw LineProblem(text: "the line begins with '\(word)': put the host's name before its settings")
    }
    let bare = word.hasPrefix("[") && word.hasSuffix("]") ? String(word.dropFirst().dropLast()) : word
    guard isAddress(bare, alsoAllowing: "@") else {
      throw LineProblem(text: "'\(word)' is no host name: use letters, digits, '.', '-' and '_'")
    }
    return bare
  }

  private static func address(_ word: String) throws -> String {
    let bare = word.hasPrefix("[") && word.hasSuffix("]") ? String(word.dropFirst().dropLast()) : word
    guard isAddress(bare, alsoAllowing: "") else {
      throw LineProblem(text: "address=\(word) is no address: give an IP address or a name, without a port")
    }
    return bare
  }

  private static func isAddress(_ text: String, alsoAllowing extra: String) -> Bool {
    guard let first = text.first, first != "-", first != "@", text.last != "@" else { return false }
    return text.unicodeScalars.allSatisfy { scalar in
      scalar.isASCII
        && (scalar.properties.isAlphabetic || ("0"..."9").contains(scalar) || ".-_:%".contains(Character(scalar)))
        || extra.contains(Character(scalar))
    }
  }

  private static func integer(_ value: String, _ key: Substring, _ range: ClosedRange<Int>) throws -> Int {
    guard let number = Int(value), range.contains(number) else {
      throw LineProblem(
        text: "\(key)=\(value) must be a whole number from \(range.lowerBound) to \(range.upperBound)")
    }
    return number
  }
}
