// Which model a path stands for.
import Foundation
import Testing

@testable import Checkpoint

@Suite struct ModelFileTests {
  @Test("a run stands for its best checkpoint, else its newest; a checkpoint and a file for themselves")
  func places() throws {
    let folder = try TemporaryDirectory()
    func write(_ name: String) throws -> String {
      let path = "\(folder.path)/\(name)"
      try FileManager.default.createDirectory(
        atPath: (path as NSString).deletingLastPathComponent, withIntermediateDirectories: true)
      try Data(name.utf8).write(to: URL(fileURLWithPath: path))
      return path
    }
    let old = try write("run/checkpoints/step-00000009/model.safetensors")
    let new = try write("run/checkpoints/step-00000010/model.safetensors")
    _ = try write("run/checkpoints/rejected-step-00000011/model.safetensors")
    _ = try write("run/checkpoints/step-00000012/trainer.safetensors")
    #expect(try ModelFile("\(folder.path)/run").path == new)
    #expect(try ModelFile("\(folder.path)/run/").recipe == nil)
    let recipe = try write("run/recipe.yaml")
    #expect(try ModelFile("\(folder.path)/run").recipe == recipe)
    #expect(try ModelFile("\(folder.path)/run/checkpoints/step-00000009").path == old)
    #expect(try ModelFile(old).recipe == recipe)
    #expect(try ModelFile(old).data() == Data("run/checkpoints/step-00000009/model.safetensors".utf8))
    try FileManager.default.createSymbolicLink(
      atPath: "\(folder.path)/run/checkpoints/best", withDestinationPath: "step-00000009")
    #expect(try ModelFile("\(folder.path)/run").path == old)
    for (path, expected) in [("none", "there is no such file"), ("run/checkpoints/step-00000012", "holds no model")] {
      let error = #expect(throws: CheckpointError.self) { try ModelFile("\(folder.path)/\(path)") }
      #expect(error?.status == .ioError && error?.description.contains(expected) == true)
    }
  }
}
