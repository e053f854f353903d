// The images of a folder that is a clip, in the order of their numbers.
import Foundation
import Shared

/// One image of a folder.
struct NumberedImage: Hashable {
  var name: String
  var number: Int
}

enum ImageNames {
  private static let endings: Set<String> = ["jpg", "jpeg", "png", "bmp", "webp"]

  /// The images among a folder's names, sorted by number.
  ///
  /// The number is the last row of digits before the ending: `img_00012.jpg` is 12. Pictures of optical flow, which
  /// some tools put beside the frames as `flow_x_00012.jpg`, are passed over.
  /// - Parameter template: the names that count, whatever their ending is; nil for all images.
  /// - Throws: `VideoError` if there is none, a name has no number, or two have the same one.
  static func sorted(
    _ names: [String], in folder: String, named template: ImageNameTemplate? = nil
  ) throws(VideoError) -> [NumberedImage] {
    func refusal(_ cause: String) -> VideoError { VideoError(path: folder, operation: "read its images", cause: cause) }
    if let template {
      // No two names that fit have the same number.
      let images = names.compactMap { name in
        template.number(in: name).map { NumberedImage(name: name, number: $0) }
      }
      guard !images.isEmpty else { throw refusal(nothing(named: template, among: names)) }
      return images.sorted { $0.number < $1.number }
    }
    var images: [NumberedImage] = []
    for name in names where !name.hasPrefix(".") {
      let parts = name.split(separator: ".", omittingEmptySubsequences: false)
      guard parts.count > 1, let ending = parts.last, endings.contains(ending.lowercased()), !isFlow(name) else {
        continue
      }
      let stem = parts.dropLast().joined(separator: ".")
      guard let number = number(in: stem) else { throw refusal("'\(name)' has no number to sort it by") }
      images.append(NumberedImage(name: name, number: number))
    }
    guard !images.isEmpty else { throw refusal("the folder has no jpg or png images") }
    images.sort { ($0.number, $0.name) < ($1.number, $1.name) }
    for (image, next) in zip(images, images.dropFirst()) where image.number == next.number {
      throw refusal(
        "'\(image.name)' and '\(next.name)' have the same number; data.image_names can say which are the frames")
    }
    return images
  }

  private static func nothing(named template: ImageNameTemplate, among names: [String]) -> String {
    let others = names.filter { !$0.hasPrefix(".") }
    let more = others.count > 1 ? " and \(others.count - 1) more" : ""
    let found = others.min().map { "holds '\($0)'\(more)" } ?? "is empty"
    return "no image is named as data.image_names says ('\(template)'); the folder \(found)"
  }

  private static func isFlow(_ name: String) -> Bool {
    ["flow_", "x_", "y_"].contains { name.lowercased().hasPrefix($0) }
  }

  private static func number(in stem: String) -> Int? {
    let bytes = Array(stem.utf8)
    let isDigit = { (byte: UInt8) in (48...57).contains(byte) }
    guard let end = bytes.lastIndex(where: isDigit) else { return nil }
    let start = bytes[...end].lastIndex { !isDigit($0) }.map { $0 + 1 } ?? 0
    return Int(String(decoding: bytes[start...end], as: UTF8.self))
  }
}
