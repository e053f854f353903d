// The data sets that can be made.

/// A data set of clips that are drawn from a seed.
public enum DemoSet: String, CaseIterable, Sendable {
  /// Six classes of motion in two seconds, learned in minutes. The two of a pair differ only in the order of frames.
  case motion
  /// Eighteen classes of two or three short events in four seconds. The classes of a group differ only in the order of
  /// the events and the time between them.
  case long

  /// The names of the classes, in the order of the index.
  public var classes: [String] {
    switch self {
    case .motion: DemoClass.allCases.map(\.label).sorted()
    case .long: LongClass.all.map(\.label).sorted()
    }
  }

  /// How many clips the lists get unless asked otherwise.
  public var usualCounts: (training: Int, validation: Int) {
    switch self {
    case .motion: (1440, 240)
    case .long: (2880, 360)
    }
  }

  func clip(_ split: DemoSplit, _ number: Int) -> any DrawnClip {
    switch self {
    case .motion: DemoClip(split: split, number: number)
    case .long: LongClip(split: split, number: number)
    }
  }

  /// What the folder's stamp says of it. `motion` was there before the others.
  var stamp: String { self == .motion ? "" : "set \(rawValue)\n" }
}
