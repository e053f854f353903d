// The videos that a command line names: files, folders, and a list on standard input.
import Dataset
import Foundation
import Shared

/// What is looked at, in the order of the arguments. A list is read line by line, as results are wanted.
struct VideoArguments {
  /// A clip's path, or what was named and is none.
  typealias Entry = Result<String, SharedError>

  private var arguments: ArraySlice<String>
  /// Of an argument that was a folder.
  private var pending: ArraySlice<Entry> = []
  private var isInList = false
  private let lines: @Sendable () -> String?

  /// - Parameter lines: what standard input has, for the argument `-`.
  init(_ arguments: [String], lines: @escaping @Sendable () -> String? = { readLine() }) {
    self.arguments = arguments[...]
    self.lines = lines
    guard !arguments.contains("-") else { return }
    pending = arguments.flatMap(Self.entries(of:))[...]
    self.arguments = []
  }

  /// How many entries there are; nil where a list on standard input is to tell.
  var count: Int? { arguments.isEmpty ? pending.count : nil }

  mutating func next() -> Entry? {
    while true {
      if let entry = pending.popFirst() { return entry }
      if isInList {
        if let line = lines() {
          let path = line.hasSuffix("\r") ? String(line.dropLast()) : line
          if !path.isEmpty { pending = Self.entries(of: path)[...] }
        } else {
          isInList = false
        }
        continue
      }
      guard let argument = arguments.popFirst() else { return nil }
      if argument == "-" { isInList = true } else { pending = Self.entries(of: argument)[...] }
    }
  }

  private static func entries(of path: String) -> [Entry] {
    guard let names = try? FileManager.default.contentsOfDirectory(atPath: path) else {
      // A file, or nothing: opening it will tell.
      return [.success(path)]
    }
    let paths = videos(in: path, names)
    return paths.isEmpty
      ? [.failure(SharedError(.badData, "\(path): holds no videos; name another folder"))] : paths.map { .success($0) }
  }

  /// A folder of images is one clip. Of other folders, all videos below them, in the order of their names.
  private static func videos(in folder: String, _ names: [String]) -> [String] {
    var paths: [String] = []
    var hasImages = false
    for name in names.sorted(by: { $0.utf8.lexicographicallyPrecedes($1.utf8) }) where !name.hasPrefix(".") {
      let path = folder.hasSuffix("/") ? folder + name : "\(folder)/\(name)"
      if let inside = try? FileManager.default.contentsOfDirectory(atPath: path) {
        paths += videos(in: path, inside)
      } else if isVideo(name) {
        paths.append(path)
      } else if isImage(name) {
        hasImages = true
      }
    }
    return paths.isEmpty && hasImages ? [folder] : paths
  }
}
