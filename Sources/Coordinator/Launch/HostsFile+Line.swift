// Parses one line of the hosts file, and explains what is wrong with a refused line. Other launchers' hosts files look
// much the same: syntax with another meaning there is refused with a hint at ours, never guessed.
import Glibc
import Shared

/// What is wrong with a line, and what to write instead.
struct LineProblem: Error {
  let text: String
}

extension HostEntry {
  /// Every key, in the order in which help texts show them.
  static let keys = ["slots", "threads", "lane_threads", "user", "port", "address", "data", "cache", "worker"]

  /// Keys of other launchers, or that people expect, and what to write instead.
  private static let foreignKeys = [
    "max_slots": "slots=N is the number of workers, and no more are started",
    "max-slots": "slots=N is the number of workers, and no more are started",
    "np": "write slots=N", "ppn": "write slots=N",
    "gpus": "this trainer uses processors only: write slots=N threads=N",
  ]

  /// - Returns: nil for an empty line or a comment.
  /// - Throws: `LineProblem`.
  init?(parsing line: Substring, number: Int) throws {
    var words: [Substring] = []
    for word in line.split(whereSeparator: \.isWhitespace) {
      if word.hasPrefix("#") { break }
      words.append(word)
    }
    guard let first = words.first else { return nil }
    let (name, count) = try Self.host(String(first))
    self.init(host: name, line: number)
    var seen: Set<Substring> = []
    if let count {
      slots = try Self.integer(count, "slots", 1...HostsFile.maximumSlots)
      seen.insert("slots")
    }
    for word in words.dropFirst() {
      guard let sign = word.firstIndex(of: "="), sign != word.startIndex else {
        throw LineProblem(
          text: "\(shown(word)) is not of the form key=value, without spaces; "
            + "write one host a line, such as 'HOST slots=2'")
      }
      let key = word[..<sign]
      let value = String(word[word.index(after: sign)...])
      try Self.checkKnown(String(key))
      guard !value.isEmpty else { throw LineProblem(text: "'\(key)=' has no value: give one, or leave it out") }
      guard seen.insert(key).inserted else {
        let colon = key == "slots" && count != nil ? " (HOST:N is N slots; an ssh port is port=N)" : ""
        throw LineProblem(text: "'\(key)' is given twice: keep one\(colon)")
      }
      switch key {
      case "slots": slots = try Self.integer(value, key, 1...HostsFile.maximumSlots)
      case "threads": threads = try Self.integer(value, key, 1...1024)
      case "lane_threads": laneThreads = try Self.integer(value, key, 1...64)
      case "user":
        guard !host.contains("@"), Self.isName(value) else {
          throw LineProblem(text: "user=\(value) is no name of a user, or the host has one already")
        }
        host = "\(value)@\(host)"
      case "port": port = try Self.integer(value, key, 1...65535)
      case "address": address = try Self.address(value)
      case "data": data = value
      case "cache": cache = value
      case "worker": worker = value
      default: break
      }
    }
  }

  private static func checkKnown(_ key: String) throws {
    if keys.contains(key) { return }
    if let advice = foreignKeys[key.lowercased()] { throw LineProblem(text: "unknown key '\(key)': \(advice)") }
    guard let near = nearest(to: key, of: keys) else {
      throw LineProblem(text: "unknown key \(shown(key)): the keys are \(keys.joined(separator: ", "))")
    }
    throw LineProblem(text: "unknown key \(shown(key)); did you mean '\(near)'?")
  }

  /// A name, user@name or address, and after a colon how many slots it has, as Horovod, MPICH and Open MPI write it. What
  /// ssh would take for an option never passes.
  private static func host(_ word: String) throws -> (host: String, slots: String?) {
    if word.contains("=") {
      throw LineProblem(text: "the line begins with \(shown(word)): put the host's name before its settings")
    }
    if word.contains(",") {
      throw LineProblem(text: "\(shown(word)) is no host name: write one host a line, without commas")
    }
    let parts = word.split(separator: "@", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
    var (user, place) = parts.count == 2 ? (parts[0] + "@", parts[1]) : ("", word)
    var count: String?
    if let colon = place.lastIndex(of: ":"), !isIPv6(withoutBrackets(place)) {
      let digits = place[place.index(after: colon)...]
      if !digits.isEmpty, digits.allSatisfy(\.isASCII), digits.allSatisfy(\.isNumber) {
        count = String(digits)
        place = String(place[..<colon])
      }
    }
    guard isHost(place), user.isEmpty || isName(String(user.dropLast())) else {
      throw LineProblem(
        text: "\(shown(word)) is no host name: use letters, digits, '.', '-' and '_', or an IP address")
    }
    return (user + withoutBrackets(place), count)
  }

  private static func address(_ word: String) throws -> String {
    guard isHost(word) else {
      throw LineProblem(text: "address=\(word) is no address: give an IP address or a name, without a port")
    }
    return withoutBrackets(word)
  }

  /// A name or an IPv4 address; an IPv6 address, in brackets or not.
  private static func isHost(_ word: String) -> Bool {
    let bare = withoutBrackets(word)
    return isIPv6(bare) || (bare == word && isName(word))
  }

  private static func isName(_ text: String) -> Bool {
    guard let first = text.first, first != "-" else { return false }
    return text.unicodeScalars.allSatisfy(isNameScalar)
  }

  private static func isNameScalar(_ scalar: Unicode.Scalar) -> Bool {
    scalar.isASCII
      && (scalar.properties.isAlphabetic || ("0"..."9").contains(scalar) || ".-_".unicodeScalars.contains(scalar))
  }

  /// Also one with a zone, such as `fe80::1%eth0`.
  private static func isIPv6(_ text: String) -> Bool {
    let parts = text.split(separator: "%", maxSplits: 1, omittingEmptySubsequences: false)
    if parts.count == 2, parts[1].isEmpty || !parts[1].unicodeScalars.allSatisfy(isNameScalar) { return false }
    var address = in6_addr()
    return unsafe inet_pton(AF_INET6, String(parts[0]), &address) == 1
  }

  private static func withoutBrackets(_ word: String) -> String {
    word.hasPrefix("[") && word.hasSuffix("]") ? String(word.dropFirst().dropLast()) : word
  }

  private static func integer(_ value: String, _ key: Substring, _ range: ClosedRange<Int>) throws -> Int {
    guard let number = Int(value), range.contains(number) else {
      throw LineProblem(
        text: "\(key)=\(value) must be a whole number from \(range.lowerBound) to \(range.upperBound)")
    }
    return number
  }
}

/// A word in quotes, short, and with what a terminal would not show written as an escape.
private func shown(_ word: some StringProtocol) -> String {
  let text = word.unicodeScalars.prefix(60).map { scalar in
    switch scalar.properties.generalCategory {
    case .control, .format, .unassigned, .privateUse, .lineSeparator, .paragraphSeparator:
      scalar.escaped(asASCII: true)
    default: String(scalar)
    }
  }.joined()
  return "'\(text)\(word.unicodeScalars.count > 60 ? "…" : "")'"
}
