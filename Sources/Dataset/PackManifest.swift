// `pack.json`: what a pack consists of. It is written last, so a folder with it is a whole pack. `Packing` writes it;
// who reads shards from the web takes their names from it.
import Foundation
import Glibc
import Shared

/// What a pack consists of, and what it was made of.
public struct PackManifest: Codable, Equatable, Sendable {
  public static let name = "pack.json"
  private static let version = 1

  /// A file of a pack.
  public struct File: Codable, Equatable, Sendable {
    /// Relative to the pack's folder.
    public let name: String
    public let bytes: UInt64
    /// 64 hexadecimal digits, as `sha256sum` prints them.
    public let sha256: String

    public init(name: String, bytes: UInt64, sha256: String) {
      (self.name, self.bytes, self.sha256) = (name, bytes, sha256)
    }
  }

  /// A tar archive of clips.
  public struct Shard: Codable, Equatable, Sendable {
    public let name: String
    public let bytes: UInt64
    /// Empty if it is not known.
    public let sha256: String
    /// `train` or `validation`.
    public let list: String
    public let clips: Int

    public init(name: String, bytes: UInt64, sha256: String, list: String, clips: Int) {
      (self.name, self.bytes, self.sha256, self.list, self.clips) = (name, bytes, sha256, list, clips)
    }

    /// One that was written by hand, for shards that are on the web, may have names and sizes alone.
    public init(from decoder: any Decoder) throws {
      let fields = try decoder.container(keyedBy: CodingKeys.self)
      self.init(
        name: try fields.decode(String.self, forKey: .name), bytes: try fields.decode(UInt64.self, forKey: .bytes),
        sha256: try fields.decodeIfPresent(String.self, forKey: .sha256) ?? "",
        list: try fields.decodeIfPresent(String.self, forKey: .list) ?? "train",
        clips: try fields.decodeIfPresent(Int.self, forKey: .clips) ?? 0)
    }
  }

  public let version: Int
  /// What decided the bytes, besides the clips; by name.
  public let settings: [String: String]
  /// What probed the packed clips for the index: while it is the same, they need not be probed again.
  public let prober: String
  public let shards: [Shard]
  /// All other files, each small.
  public let files: [File]

  /// The manifest in `folder`; nil if there is none.
  /// - Throws: `DatasetError` if it cannot be read or understood.
  public init?(in folder: String) throws(DatasetError) {
    let path = "\(folder)/\(Self.name)"
    guard unsafe access(path, F_OK) == 0 else { return nil }
    guard let data = FileManager.default.contents(atPath: path) else { throw .failed("cannot be read", path) }
    try self.init(data, name: path)
  }

  /// - Parameter name: what errors call the manifest.
  /// - Throws: `DatasetError` if it cannot be understood.
  public init(_ data: Data, name: String) throws(DatasetError) {
    struct Head: Decodable { let version: Int }
    guard let head = try? JSONDecoder().decode(Head.self, from: data) else {
      throw DatasetError(.badData, "\(name): is no manifest of a pack, or is damaged; restore it, or pack anew")
    }
    guard head.version == Self.version else {
      throw DatasetError(
        .badData, "\(name): is of version \(head.version), and this program reads version \(Self.version); pack anew")
    }
    guard let read = try? JSONDecoder().decode(PackManifest.self, from: data) else {
      throw DatasetError(.badData, "\(name): is damaged; restore it, or pack anew")
    }
    self = read
    for file in shards.map(\.name) + files.map(\.name) where !Self.isInside(file) {
      throw DatasetError(.badData, "\(name): names a file outside of the pack, '\(file)'")
    }
  }

  public init(from decoder: any Decoder) throws {
    let fields = try decoder.container(keyedBy: CodingKeys.self)
    self.init(
      settings: try fields.decodeIfPresent([String: String].self, forKey: .settings) ?? [:],
      prober: try fields.decodeIfPresent(String.self, forKey: .prober) ?? "",
      shards: try fields.decode([Shard].self, forKey: .shards),
      files: try fields.decodeIfPresent([File].self, forKey: .files) ?? [])
  }

  public init(settings: [String: String], prober: String, shards: [Shard], files: [File]) {
    version = Self.version
    (self.settings, self.prober, self.shards, self.files) = (settings, prober, shards, files)
  }

  private static func isInside(_ name: String) -> Bool {
    !name.isEmpty && !name.utf8.contains(0)
      && name.split(separator: "/", omittingEmptySubsequences: false).allSatisfy { !["", ".", ".."].contains($0) }
  }
}
