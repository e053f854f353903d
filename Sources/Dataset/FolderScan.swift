// Lists a data folder once. `readdir` tells each entry's kind, so a million clips need no million calls of `stat`.
import Foundation

/// The paths, relative to `root`, of all files below it that have a video's extension, sorted by UTF-8 bytes.
/// Names that begin with `.` or are not UTF-8 are skipped. Links are followed, except into a folder that contains them.
///
/// - Throws: `DatasetError` naming a folder that cannot be read.
func videoFiles(below root: String) throws(DatasetError) -> [String] {
  var paths: [String] = []
  try scan(root, prefix: "", inside: [], into: &paths)
  return paths.sorted(by: precedesInUTF8)
}

private struct FolderIdentity: Equatable {
  let device: UInt64
  let inode: UInt64
}

private func scan(
  _ folder: String, prefix: String, inside ancestors: [FolderIdentity], into paths: inout [String]
) throws(DatasetError) {
  var status = stat()
  guard unsafe stat(folder, &status) == 0, let stream = unsafe opendir(folder) else {
    let reason = unsafe String(cString: strerror(errno))
    throw DatasetError(.ioError, "\(folder): cannot be read (\(reason)); check the recipe's data folder")
  }
  defer { unsafe closedir(stream) }
  let identity = FolderIdentity(device: UInt64(status.st_dev), inode: UInt64(status.st_ino))
  if ancestors.contains(identity) { return }

  while true {
    // Only errno distinguishes the end from an error.
    errno = 0
    guard let entry = unsafe readdir(stream) else { break }
    let name = unsafe withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
      unsafe String(validating: bytes.prefix { $0 != 0 }, as: UTF8.self)
    }
    guard let name, !name.hasPrefix(".") else { continue }
    var isFolder = unsafe Int(entry.pointee.d_type) == DT_DIR
    if unsafe Int(entry.pointee.d_type) == DT_LNK || Int(entry.pointee.d_type) == DT_UNKNOWN {
      guard unsafe stat("\(folder)/\(name)", &status) == 0 else { continue }
      isFolder = status.st_mode & S_IFMT == S_IFDIR
    }
    if isFolder {
      try scan("\(folder)/\(name)", prefix: "\(prefix)\(name)/", inside: ancestors + [identity], into: &paths)
    } else if VideoFolder.videoExtension(of: name) != nil {
      paths.append(prefix + name)
    }
  }
  if errno != 0 {
    throw DatasetError(.ioError, "\(folder): reading it failed (\(unsafe String(cString: strerror(errno))))")
  }
}
