// `pack.json`: what a pack consists of. It is written last, so a folder with it is a whole pack.
import Dataset
import Foundation
import Glibc
import Shared

/// What a pack consists of, and what it was made of.
public struct PackManifest: Codable, Equatable, Sendable {
  public static let name = "pack.json"
  static let version = 1

  /// A file of a pack.
  public struct File: Codable, Equatable, Sendable {
    /// Relative to the pack's folder.
    public let name: String
    public let bytes: UInt64
    /// 64 hexadecimal digits, as `sha256sum` prints them.
    public let sha256: String
  }

  /// A tar archive of clips.
  public struct Shard: Codable, Equatable, Sendable {
    public let name: String
    public let bytes: UInt64
    public let sha256: String
    /// `train` or `validation`.
    public let list: String
    public let clips: Int
  }

  public let version: Int
  /// What decided the bytes, besides the clips; by name.
  public let settings: [String: String]
  /// What probed the packed clips for the index: while it is the same, they need not be probed again.
  public let prober: String
  public let shards: [Shard]
  /// All other files, each small.
  public let files: [File]

  static func encoder() -> JSONEncoder {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .prettyPrinted, .withoutEscapingSlashes]
    return encoder
  }

  /// The manifest in `folder`; nil if there is none.
  /// - Throws: `PackError` if it cannot be read or understood.
  public init?(in folder: String) throws(PackError) {
    let path = "\(folder)/\(Self.name)"
    guard unsafe access(path, F_OK) == 0 else { return nil }
    guard let data = FileManager.default.contents(atPath: path) else { throw .system("cannot be read", path) }
    try self.init(data, name: path)
  }

  /// - Parameter name: what errors call the manifest.
  /// - Throws: `PackError` if it cannot be understood.
  public init(_ data: Data, name: String) throws(PackError) {
    struct Head: Decodable { let version: Int }
    guard let head = try? JSONDecoder().decode(Head.self, from: data) else {
      throw PackError(.badData, "\(name): is no manifest of a pack, or is damaged; restore it, or pack anew")
    }
    guard head.version == Self.version else {
      throw PackError(
        .badData, "\(name): is of version \(head.version), and this program reads version \(Self.version); pack anew")
    }
    guard let read = try? JSONDecoder().decode(PackManifest.self, from: data) else {
      throw PackError(.badData, "\(name): is damaged; restore it, or pack anew")
    }
    self = read
    for name in shards.map(\.name) + files.map(\.name) where !Self.isInside(name) {
      throw PackError(.badData, "\(name): names a file outside of the pack, '\(name)'")
    }
  }

  init(settings: [String: String], prober: String, shards: [Shard], files: [File]) {
    version = Self.version
    (self.settings, self.prober, self.shards, self.files) = (settings, prober, shards, files)
  }

  private static func isInside(_ name: String) -> Bool {
    !name.isEmpty && !name.utf8.contains(0)
      && name.split(separator: "/", omittingEmptySubsequences: false).allSatisfy { !["", ".", ".."].contains($0) }
  }

  /// How settings differ from those of a pack, for a message; nil if they do not.
  static func difference(_ now: [String: String], from before: [String: String]) -> String? {
    let names = Set(now.keys).union(before.keys).sorted().filter { now[$0] != before[$0] }
    if names.isEmpty { return nil }
    return names.map { "\($0) was \(before[$0] ?? "not set"), is now \(now[$0] ?? "not set")" }.joined(separator: "; ")
  }
}
