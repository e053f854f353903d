// Lists and shards on the web. How they are read is in `Remote`; here is what an address means in a recipe.
import Foundation
import Remote
import Shared

extension AnnotationList {
  /// The most bytes of a list that is read from the web.
  private static let limit = 1 << 30

  /// The list at an address: shards by their names, which a pattern with `{000..127}` may stand for; or a text that is
  /// read at once.
  ///
  /// - Throws: `RemoteError`.
  init(address: String, role: Role, remote: RemoteFiles?) throws {
    let remote = try Self.required(remote, address)
    let files = try ListFile.expanded(address).map { address in
      let name = shownPath(address)
      if FileNames.suffix(of: name) == "tar" { return ListFile(name: name, contents: .remote(address)) }
      return ListFile(name: name, contents: .data(try remote.document(address, limit: Self.limit)))
    }
    self.init(name: shownPath(address), files: files, role: role, remote: remote)
  }

  /// A shard of this list as a file of this host, for as long as what is returned exists.
  ///
  /// - Throws: `DatasetError` where the server does not have it; `RemoteError` where it cannot be asked.
  func opened(shard: String) throws -> (path: String, hold: LocalFile?) {
    guard isWebAddress(shard) else { return (shard, nil) }
    do {
      let file = try Self.required(remote, shard).whole(shard)
      return (file.path, file)
    } catch let error as RemoteError where error.kind == .missing {
      throw DatasetError(.ioError, error.description)
    }
  }

  private static func required(_ remote: RemoteFiles?, _ address: String) throws(DatasetError) -> RemoteFiles {
    guard let remote else {
      throw DatasetError(.ioError, "\(shownPath(address)): cannot be read here; give a file of this host")
    }
    return remote
  }

  /// Whether the server has a list. Where it cannot be asked, reading the list says why.
  static func exists(address: String, _ remote: RemoteFiles?) -> Bool {
    do throws(RemoteError) {
      _ = try remote?.facts(ListFile.expanded(address).first ?? address)
      return true
    } catch { return error.kind != .missing }
  }
}

extension ListFile {
  /// Where it is: a path or an address. Its name, unlike this, has no secrets.
  var place: String {
    switch contents {
    case .remote(let address): address
    case .path(let path): path
    case .data: name
    }
  }
}

extension PackManifest {
  /// The manifest of the pack at an address. Its shards must then be what it says.
  ///
  /// - Returns: nil if there is none.
  /// - Throws: `RemoteError`; `DatasetError` if it cannot be understood.
  init?(of folder: String, _ remote: RemoteFiles) throws {
    let address = folderPath(data: folder, Self.name)
    let data: Data
    do throws(RemoteError) { data = try remote.document(address, limit: 1 << 28) } catch {
      guard error.kind == .missing else { throw error }
      return nil
    }
    try self.init(data, name: shownPath(address))
    for shard in shards {
      remote.expect(ExpectedFile(bytes: shard.bytes, sha256: shard.sha256), at: folderPath(data: folder, shard.name))
    }
  }

  /// The shards of one list; nil if there is none.
  func list(_ list: String, of folder: String, role: AnnotationList.Role, _ remote: RemoteFiles) -> AnnotationList? {
    let files = shards.filter { $0.list == list }.map { shard in
      let address = folderPath(data: folder, shard.name)
      return ListFile(name: shownPath(address), contents: .remote(address))
    }
    let name = shownPath(folderPath(data: folder, Self.name)) + " (\(list))"
    return files.isEmpty ? nil : AnnotationList(name: name, files: files, role: role, remote: remote)
  }
}
