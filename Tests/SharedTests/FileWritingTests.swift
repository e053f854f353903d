import Foundation
import Shared
import Testing

@Suite struct FileWritingTests {
  private let folder = URL.temporaryDirectory.appendingPathComponent("file-writing-\(UUID().uuidString)")

  init() throws { try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true) }

  @Test("a file takes the place of another; a device stays one; a missing folder is one line with code 74")
  func written() throws {
    defer { try? FileManager.default.removeItem(at: folder) }
    let (file, device) = (folder.appendingPathComponent("a").path, folder.appendingPathComponent("null").path)
    for text in ["a longer text", "short"] {
      try writeFile(Data(text.utf8), to: file)
      #expect(FileManager.default.contents(atPath: file) == Data(text.utf8))
    }
    try FileManager.default.createSymbolicLink(atPath: device, withDestinationPath: "/dev/null")
    try writeFile(Data("gone".utf8), to: device)
    #expect(try FileManager.default.destinationOfSymbolicLink(atPath: device) == "/dev/null")
    let missing = folder.appendingPathComponent("b/c").path
    let error = #expect(throws: SharedError.self) { try writeFile(Data(), to: missing) }
    #expect(error?.status == .ioError && error?.description.hasPrefix("\(missing): cannot be written; ") == true)
  }
}
