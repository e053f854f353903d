// Patterns for the names of tensors, and the groups of tensors that a recipe makes with them.

/// A name in which each `*` stands for any characters, dots included.
public struct NamePattern: Hashable, Sendable, Codable {
  public let text: String

  public init(_ text: String) { self.text = text }

  public func matches(_ name: String) -> Bool {
    let (pattern, name) = (Array(text.utf8), Array(name.utf8))
    var (p, n) = (0, 0)
    var (star, taken) = (-1, 0)
    while n < name.count {
      if p < pattern.count, pattern[p] == UInt8(ascii: "*") {
        (star, taken) = (p, n)
        p += 1
      } else if p < pattern.count, pattern[p] == name[n] {
        p += 1
        n += 1
      } else if star >= 0 {
        // Let the last star take one character more.
        taken += 1
        (p, n) = (star + 1, taken)
      } else {
        return false
      }
    }
    return pattern[p...].allSatisfy { $0 == UInt8(ascii: "*") }
  }

  /// What to say where a pattern matches none of `names`; nil where it matches one.
  /// - Parameter key: the recipe's key that holds the pattern.
  public func mistake(_ key: String, among names: [String]) -> String? {
    guard !names.contains(where: matches) else { return nil }
    let near = names.map { (name: $0, errors: errors(in: $0)) }.enumerated()
      .sorted { ($0.element.errors, $0.offset) < ($1.element.errors, $1.offset) }.prefix(3)
    let hint = near.isEmpty ? "" : "; near are \(near.map { "'\($0.element.name)'" }.joined(separator: ", "))"
    return "\(key): '\(text)' matches no tensor\(hint)"
  }

  /// The fewest characters to add, remove or replace so that the pattern matches a part of `name`.
  private func errors(in name: String) -> Int {
    let name = Array(name.utf8)
    // At each place of the name: the fewest errors of the pattern so far, if it ends there. It may begin anywhere.
    var row = [Int](repeating: 0, count: name.count + 1)
    for byte in text.utf8.prefix(100) {
      var diagonal = row[0]
      let isStar = byte == UInt8(ascii: "*")
      row[0] += isStar ? 0 : 1
      for place in name.indices {
        let (above, replaced) = (row[place + 1], diagonal + (byte == name[place] ? 0 : 1))
        row[place + 1] = isStar ? min(above, row[place]) : min(replaced, above + 1, row[place] + 1)
        diagonal = above
      }
    }
    return row.min() ?? 0
  }

  /// Nil if no tensor can have such a name.
  init?(yaml: some StringProtocol) {
    guard !yaml.isEmpty,
      yaml.utf8.allSatisfy({ isNameByte($0) || $0 == UInt8(ascii: "*") })
    else { return nil }
    self.init(String(yaml))
  }
}

/// Names that match a pattern and none of the exceptions.
public struct NamePatterns: Hashable, Sendable, Codable, RecipeValue {
  public var list: [NamePattern] = []
  public var exceptions: [NamePattern] = []

  /// - Parameter texts: patterns; those that begin with `!` are exceptions.
  public init(_ texts: [String] = []) {
    for text in texts {
      if text.hasPrefix("!") {
        exceptions.append(NamePattern(String(text.dropFirst())))
      } else {
        list.append(.init(text))
      }
    }
  }

  public func contains(_ name: String) -> Bool {
    list.contains { $0.matches(name) } && !exceptions.contains { $0.matches(name) }
  }

  static var wanted: String {
    "a list of names, with * for any characters and ! for exceptions, such as [\"*\", \"!*.layer4.*\"]"
  }

  init?(yaml: String) {
    let items = listItems(yaml)
    guard items.allSatisfy({ NamePattern(yaml: $0.hasPrefix("!") ? $0.dropFirst() : $0[...]) != nil }) else {
      return nil
    }
    self.init(items)
  }

  var yaml: String { listText(list.map(\.text) + exceptions.map { "!" + $0.text }) }
}

extension OptimizerRecipe {
  /// Tensors that learn at another rate than the rest, or with another weight decay.
  public struct Group: Hashable, Sendable, Codable {
    public var pattern: NamePattern
    /// Factors of the learning rate and of the weight decay.
    public var rate = 1.0
    public var decay = 1.0

    public init(pattern: NamePattern, rate: Double = 1, decay: Double = 1) {
      (self.pattern, self.rate, self.decay) = (pattern, rate, decay)
    }
  }

  /// A tensor belongs to the first group whose pattern matches its name.
  public struct Groups: Hashable, Sendable, Codable, RecipeValue {
    public var list: [Group]

    public init(_ list: [Group] = []) { self.list = list }

    static var wanted: String {
      "a list of name patterns with factors from 0 to 1000000, such as [\"new_fc.* rate=10\", \"*.bias rate=2 decay=0\"]"
    }

    init?(yaml: String) {
      let items = listItems(yaml)
      list = items.compactMap { item in
        let words = item.split(separator: " ")
        guard words.count > 1, let pattern = NamePattern(yaml: words[0]) else { return nil }
        var group = Group(pattern: pattern)
        for word in words.dropFirst() {
          let parts = word.split(separator: "=", omittingEmptySubsequences: false)
          guard parts.count == 2, let factor = Double(parts[1]), (0...1e6).contains(factor) else { return nil }
          switch parts[0] {
          case "rate": group.rate = factor
          case "decay": group.decay = factor
          default: return nil
          }
        }
        return group
      }
      guard list.count == items.count else { return nil }
    }

    var yaml: String {
      listText(list.map { "\($0.pattern.text) rate=\($0.rate.yaml) decay=\($0.decay.yaml)" })
    }
  }
}

/// The items of a list: `[a, "b"]`, or the items alone, joined by commas.
private func listItems(_ yaml: String) -> [String] {
  let list = yaml.hasPrefix("[") && yaml.hasSuffix("]") ? yaml.dropFirst().dropLast() : yaml[...]
  return list.split(separator: ",").map { item in
    String(item.drop { $0 == " " || $0 == "\"" }.reversed().drop { $0 == " " || $0 == "\"" }.reversed())
  }
}

private func listText(_ items: [String]) -> String { "[" + items.map { "\"\($0)\"" }.joined(separator: ", ") + "]" }

/// Letters, digits, '-', '_' and '.'.
func isNameByte(_ byte: UInt8) -> Bool {
  switch byte {
  case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
    UInt8(ascii: "0")...UInt8(ascii: "9"),
    UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."):
    true
  default: false
  }
}
