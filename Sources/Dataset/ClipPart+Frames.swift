// Which frames of a file a row's times or numbers mean.

extension ClipPart {
  /// What is asked of a file to find a part.
  public struct File {
    public var frames: Int
    /// Seconds; 0 if it does not say.
    public var duration: Double
    /// The numbers in the names of a folder's images, in order; empty for a file.
    public var imageNumbers: [Int]

    public init(frames: Int, duration: Double, imageNumbers: [Int] = []) {
      self.frames = frames
      self.duration = duration
      self.imageNumbers = imageNumbers
    }
  }

  public enum Frames: Equatable, Sendable {
    case range(Range<Int>)
    /// Why the part is not in the file.
    case outside(String)
  }

  /// Seconds by which a file's length may differ from what its row says.
  public static let tolerance = 0.5

  /// The frames of a part.
  ///
  /// Times count in the video that the list is about, and a file may be that video or what was cut from it. A file that
  /// is no longer than the times say (by half a second) is the clip already: all of it is meant. In a longer file the
  /// times are those of the file, and must lie in it.
  ///
  /// - Parameter frames: the frames of a file from one time to before another, by their timestamps.
  public func frames(in file: File, _ frames: (Double, Double) -> Range<Int>) -> Frames {
    switch self {
    case .whole: return .range(0..<file.frames)
    case .seconds(let from, let to):
      guard from.isFinite, to.isFinite, from >= 0, to > from else {
        return .outside("its times, \(Self.text(from)) to \(Self.text(to)) s, are no part of a video")
      }
      // A file that does not say how long it is cannot be told from one that was cut.
      guard file.duration > 0 else {
        return .outside("its file does not say how long it is, so its times cannot be found; cut the file to its times")
      }
      if file.duration <= to - from + Self.tolerance { return .range(0..<file.frames) }
      guard to <= file.duration + Self.tolerance else {
        return .outside(
          "its times, \(Self.text(from)) to \(Self.text(to)) s, are not in its file of \(Self.text(file.duration)) s")
      }
      let found = frames(from, to).clamped(to: 0..<file.frames)
      return found.isEmpty
        ? .outside("no frame of its file is shown from \(Self.text(from)) to \(Self.text(to)) s") : .range(found)
    case .frames(let first, let last):
      guard let lowest = file.imageNumbers.first, let highest = file.imageNumbers.last else {
        // A video's frames count from 0.
        guard 0 <= first, first <= last, last < file.frames else {
          return .outside("its frames, \(first) to \(last), are not in its file, which has 0 to \(file.frames - 1)")
        }
        return .range(first..<last + 1)
      }
      guard first <= last, let start = file.imageNumbers.firstIndex(of: first),
        let end = file.imageNumbers.firstIndex(of: last)
      else {
        return .outside(
          "its frames, \(first) to \(last), are not in its folder, whose images are \(lowest) to \(highest)")
      }
      let (distance, overflow) = last.subtractingReportingOverflow(first)
      guard !overflow, end - start == distance else {
        return .outside("images between \(first) and \(last) are missing in its folder")
      }
      return .range(start..<end + 1)
    }
  }

  /// Seconds with at most two digits after the point.
  private static func text(_ seconds: Double) -> String {
    guard abs(seconds) < 1e12 else { return "\(seconds)" }
    let hundredths = (seconds * 100).rounded()
    let text = "\(hundredths / 100)"
    return text.hasSuffix(".0") ? String(text.dropLast(2)) : text
  }

  /// Tells this part of a file from others, in `ProbedFiles`.
  public var key: String {
    switch self {
    case .whole: ""
    case .seconds(let from, let to): "\(from)-\(to)s"
    case .frames(let first, let last): "\(first)-\(last)"
    }
  }
}
