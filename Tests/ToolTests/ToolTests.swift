// The tests of tools/, which are Python: each file of this folder is one test here.
import Foundation
import TestSupport
import Testing

/// The Python that runs them: TAMRING_PYTHON, else `python3`.
enum Python {
  static let program = ProcessInfo.processInfo.environment["TAMRING_PYTHON"] ?? "python3"
  static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().path

  /// Whether it can import these modules.
  static func has(_ modules: String) -> Bool { (try? run("-c", "import \(modules)"))?.status == 0 }

  static let hasGoldenSteps: Bool = {
    let root =
      ProcessInfo.processInfo.environment["TAMRING_SHARED"]
      ?? URL(fileURLWithPath: folder).appendingPathComponent("../../../shared").path
    return FileManager.default.fileExists(atPath: "\(root)/golden-relatives")
  }()

  /// The binary that was built with this test bundle.
  static let worker: String = {
    let own = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
    let places = [own] + CommandLine.arguments
    return places.map { URL(fileURLWithPath: $0).deletingLastPathComponent().appendingPathComponent("worker").path }
      .first { FileManager.default.isExecutableFile(atPath: $0) } ?? "worker"
  }()

  static func run(_ arguments: String...) throws -> Finished {
    try RunningProcess("/usr/bin/env", [program] + arguments).finish()
  }

  /// Runs the tests of a file of this folder.
  static func test(_ name: String) throws {
    let finished = try run("-B", "\(folder)/\(name).py")
    #expect(finished.status == 0, "\(finished.output)")
  }
}

@Suite(.serialized, .timeLimit(.minutes(3))) struct ToolTests {
  @Test(
    "tools/tamring_torch.py meets every golden step: logits, loss, gradients and statistics within 1e-4",
    .enabled(if: Python.has("torch") && Python.hasGoldenSteps))
  func torch() throws { try Python.test("test_torch") }

  @Test(
    "tools/tamring_file.py finds the model that a path stands for, and what it says of itself",
    .enabled(if: Python.has("numpy")))
  func files() throws { try Python.test("test_file") }

  @Test(
    "tools/import_weights knows the names of four programs, inflates, leaves heads out, and executes no pickle",
    .enabled(if: Python.has("numpy")))
  func importing() throws { try Python.test("test_import") }

  @Test(
    "tools/import_weights reads what PyTorch writes, in both formats, and its networks are those of tamring_torch",
    .enabled(if: Python.has("torch")))
  func importingFromTorch() throws { try Python.test("test_import_torch") }

  @Test(
    "the graphs of tools/export_onnx agree with the golden steps, worker and tamring_torch within 1e-4",
    .enabled(if: Python.has("onnx, onnxruntime") && Python.hasGoldenSteps))
  func onnx() throws {
    setenv("WORKER", Python.worker, 1)
    try Python.test("test_onnx")
  }

  @Test("cluster/experiments: scenes are functions of their draws, and what runs and costs say is read")
  func experiments() throws {
    setenv("WORKER", Python.worker, 1)
    try Python.test("test_experiments")
  }
}
