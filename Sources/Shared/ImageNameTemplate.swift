// Which files of a folder are a clip's frames, by their names, as the tools that extract frames write them.

/// A name with a place for the frame's number: `img_{:05d}.jpg` as Python writes it, or `img_%05d.jpg` as C does.
///
/// A name fits if formatting its number gives this name: with a width of 5, `img_00012.jpg` and `img_123456.jpg` fit,
/// but `img_12.jpg` and `img_000012.jpg` do not. Names are compared by their bytes.
///
/// **Source:** mit-han-lab/temporal-shift-module, `--image_tmpl`; open-mmlab/mmaction2, `filename_tmpl`.
public struct ImageNameTemplate: Hashable, Sendable, CustomStringConvertible {
  /// As it was given.
  public let text: String
  private let prefix: [UInt8]
  private let suffix: [UInt8]
  /// The fewest digits; a shorter number has zeros before it.
  private let width: Int

  public var description: String { text }

  /// What a recipe that has something else is told.
  public static let wanted =
    "a file's name with one place for its number, such as \"img_{:05d}.jpg\" or \"img_%05d.jpg\""

  /// - Returns: nil if the text has not one place for a number, or names a folder.
  public init?(_ text: String) {
    let bytes = Array(text.utf8)
    let places = bytes.indices.compactMap { start in Self.place(in: bytes, from: start) }
    // What no file's name can have, and what a recipe could not write.
    let isName = bytes.count <= 255 && !bytes.contains { $0 == UInt8(ascii: "/") || $0 < 32 }
    guard isName, places.count == 1, let place = places.first else { return nil }
    self.text = text
    prefix = Array(bytes[..<place.range.lowerBound])
    suffix = Array(bytes[place.range.upperBound...])
    width = place.width
  }

  /// - Returns: the number in a name that fits; nil if it does not.
  public func number(in name: String) -> Int? {
    let name = Array(name.utf8)
    let end = name.count - suffix.count
    guard prefix.count < end, name.starts(with: prefix), name[end...].elementsEqual(suffix) else { return nil }
    let digits = name[prefix.count..<end]
    guard digits.allSatisfy(Self.isDigit), digits.count >= width,
      digits.count == max(1, width) || digits.first != UInt8(ascii: "0")
    else { return nil }
    return Int(String(decoding: digits, as: UTF8.self))
  }

  /// The place for a number that begins at `start`: `{}`, `{:d}`, `{:05d}`, `{:05}`, `%d` or `%05d`, where `{` may be
  /// followed by the argument's number, 0.
  private static func place(in bytes: [UInt8], from start: Int) -> (range: Range<Int>, width: Int)? {
    var rest = bytes[start...]
    func take(_ character: Unicode.Scalar) -> Bool {
      guard rest.first == UInt8(ascii: character) else { return false }
      rest.removeFirst()
      return true
    }
    func takeWidth() -> Int? {
      guard take("0") else { return 0 }
      let digits = rest.prefix(while: isDigit)
      rest = rest[digits.endIndex...]
      // No system has longer names.
      return Int(String(decoding: digits, as: UTF8.self)).flatMap { (1...255).contains($0) ? $0 : nil }
    }
    if take("%") {
      guard let width = takeWidth(), take("d") else { return nil }
      return (start..<rest.startIndex, width)
    }
    guard take("{") else { return nil }
    _ = take("0")
    var width = 0
    if take(":") {
      guard let given = takeWidth() else { return nil }
      width = given
      _ = take("d")
    }
    return take("}") ? (start..<rest.startIndex, width) : nil
  }

  private static func isDigit(_ byte: UInt8) -> Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }
}
