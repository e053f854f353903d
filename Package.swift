// swift-tools-version: 6.3
import PackageDescription

// Warnings are errors everywhere; in `Sources` every use of unsafe memory must say so.
let strict: [SwiftSetting] = [.treatAllWarnings(as: .error), .strictMemorySafety()]
let plain: [SwiftSetting] = [.treatAllWarnings(as: .error)]
// Contraction would let the compiler fuse a*b + c in one build of a kernel and not in another.
let kernels: [CSetting] = [.treatAllWarnings(as: .error), .unsafeFlags(["-O3", "-ffp-contract=off"])]

let arguments: Target.Dependency = .product(name: "ArgumentParser", package: "swift-argument-parser")
let database: Target.Dependency = .product(name: "GRDB", package: "GRDB.swift")
let logging: Target.Dependency = .product(name: "Logging", package: "swift-log")

let package = Package(
  name: "tamring",
  products: [
    .executable(name: "coordinator", targets: ["Coordinator"]),
    .executable(name: "worker", targets: ["Worker"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
    .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
    .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
  ],
  targets: [
    .systemLibrary(name: "CCurl"),
    .systemLibrary(name: "CFFmpeg"),
    .systemLibrary(name: "CLZ4"),
    .systemLibrary(name: "CLinux"),
    .systemLibrary(name: "COpenBLAS"),
    .systemLibrary(name: "CSodium"),
    .systemLibrary(name: "CXXHash"),
    .systemLibrary(name: "CZMQ"),

    .target(name: "CKernels", cSettings: kernels),
    .target(
      name: "CDecoderLog", cSettings: [.treatAllWarnings(as: .error)], linkerSettings: [.linkedLibrary("avutil")]),
    .target(
      name: "COneDNN", cSettings: [.treatAllWarnings(as: .error)],
      linkerSettings: [.linkedLibrary("dnnl"), .linkedLibrary("gomp")]),
    .target(name: "Shared", dependencies: ["CKernels", "CLinux", "CSodium", "CXXHash"], swiftSettings: strict),
    .target(name: "Recipes", dependencies: ["Shared", "Yams"], swiftSettings: strict),
    .target(name: "Wire", dependencies: ["Shared"], swiftSettings: strict),
    .target(name: "Messaging", dependencies: ["CLinux", "CSodium", "CZMQ", "Shared", "Wire"], swiftSettings: strict),
    .target(name: "Remote", dependencies: ["CCurl", "CLinux", "Shared"], swiftSettings: strict),
    .target(name: "Dataset", dependencies: ["Remote", "Shared"], swiftSettings: strict),
    .target(
      name: "Video", dependencies: ["CDecoderLog", "CFFmpeg", "CKernels", "CLinux", "Shared"], swiftSettings: strict),
    .target(name: "Packing", dependencies: ["Dataset", "Shared", "Video"], swiftSettings: strict),
    .target(name: "DemoData", dependencies: ["CFFmpeg", "Shared"], swiftSettings: strict),
    .target(
      name: "BLVNet", dependencies: ["CKernels", "COneDNN", "COpenBLAS", "Recipes", "Shared"], swiftSettings: strict),
    .target(name: "Ring", dependencies: ["CKernels", "CLZ4", "CXXHash", "Recipes", "Shared"], swiftSettings: strict),
    .target(name: "Checkpoint", dependencies: ["CLinux", "Shared"], swiftSettings: strict),
    .target(
      name: "Training", dependencies: ["BLVNet", "CKernels", "Checkpoint", "Recipes", "Ring", "Shared"],
      swiftSettings: strict),
    .target(name: "RunJournal", dependencies: ["Recipes", "Shared", "Wire", database], swiftSettings: strict),
    .target(name: "CoordinatorCore", dependencies: ["Shared", "Wire"], swiftSettings: strict),
    .target(name: "WorkerCore", dependencies: ["Ring", "Shared", "Wire"], swiftSettings: strict),
    .executableTarget(
      name: "Coordinator",
      dependencies: [
        "BLVNet", "CLinux", "Checkpoint", "CoordinatorCore", "Dataset", "DemoData", "Messaging", "Packing", "Recipes",
        "Remote", "RunJournal", "Shared", "Training", "Video", "Wire", arguments,
      ], resources: [.embedInCode("Commands/demo.yaml")], swiftSettings: strict),
    .executableTarget(
      name: "Worker",
      dependencies: [
        "BLVNet", "CLinux", "Checkpoint", "Dataset", "Messaging", "Recipes", "Remote", "Ring", "Shared", "Training",
        "Video", "Wire", "WorkerCore", arguments, logging,
      ], swiftSettings: strict),

    .target(name: "AllocationCounter", path: "Tests/AllocationCounter", cSettings: [.treatAllWarnings(as: .error)]),
    .target(
      name: "TestSupport", dependencies: ["CLinux"], path: "Tests/TestSupport", exclude: ["http_server.py"],
      swiftSettings: plain),
    // What the tests of checkpoints and journal run under strace.
    .executableTarget(
      name: "DurableWriter", dependencies: ["Checkpoint", "RunJournal", "Shared"], path: "Tests/DurableWriter",
      swiftSettings: plain),
    // What the tests of decoding in other processes start.
    .executableTarget(
      name: "SeparateDecoder", dependencies: ["CLinux", "Shared", "Video"], path: "Tests/SeparateDecoder",
      swiftSettings: plain),
    .testTarget(name: "SharedTests", dependencies: ["CSodium", "Shared"], swiftSettings: plain),
    .testTarget(name: "RecipesTests", dependencies: ["Recipes", "Shared"], swiftSettings: plain),
    .testTarget(name: "WireTests", dependencies: ["Shared", "Wire"], swiftSettings: plain),
    .testTarget(name: "MessagingTests", dependencies: ["Messaging", "Shared", "Wire"], swiftSettings: plain),
    .testTarget(name: "RemoteTests", dependencies: ["Remote", "Shared", "TestSupport"], swiftSettings: plain),
    .testTarget(name: "DatasetTests", dependencies: ["Dataset", "Recipes", "Shared"], swiftSettings: plain),
    .testTarget(
      name: "VideoTests",
      dependencies: ["CFFmpeg", "CKernels", "DemoData", "SeparateDecoder", "Shared", "TestSupport", "Video"],
      exclude: ["make_colours.py"], swiftSettings: plain),
    .testTarget(
      name: "PackingTests",
      dependencies: ["CFFmpeg", "Dataset", "DemoData", "Packing", "Shared", "TestSupport", "Video"],
      swiftSettings: plain),
    .testTarget(name: "DemoDataTests", dependencies: ["Dataset", "DemoData", "Shared"], swiftSettings: plain),
    .testTarget(
      name: "BLVNetTests", dependencies: ["BLVNet", "CKernels", "Recipes", "Shared", "Training", "Yams"],
      swiftSettings: plain),
    .testTarget(
      name: "TrainingTests", dependencies: ["BLVNet", "Checkpoint", "Recipes", "Ring", "Shared", "Training"],
      resources: [.copy("Fixtures")], swiftSettings: plain),
    .testTarget(
      name: "RingTests", dependencies: ["AllocationCounter", "CKernels", "Recipes", "Ring", "Shared"],
      swiftSettings: plain),
    .testTarget(
      name: "CheckpointTests", dependencies: ["Checkpoint", "DurableWriter", "Shared", "TestSupport"],
      swiftSettings: plain),
    .testTarget(
      name: "RunJournalTests",
      dependencies: ["DurableWriter", "Recipes", "RunJournal", "Shared", "TestSupport", "Wire", database],
      exclude: ["Fixtures"],
      swiftSettings: plain),
    .testTarget(
      name: "CoordinatorCoreTests", dependencies: ["CoordinatorCore", "Shared", "Wire"], swiftSettings: plain),
    .testTarget(name: "WorkerCoreTests", dependencies: ["Shared", "Wire", "WorkerCore"], swiftSettings: plain),
    .testTarget(
      name: "CoordinatorTests",
      dependencies: [
        "Checkpoint", "Coordinator", "CoordinatorCore", "Dataset", "DemoData", "Recipes", "RunJournal",
        "SeparateDecoder", "Shared", "TestSupport", "Video", "Wire", database,
      ],
      swiftSettings: plain),
    .testTarget(
      name: "WorkerTests",
      dependencies: [
        "AllocationCounter", "BLVNet", "Messaging", "Recipes", "Ring", "Shared", "TestSupport", "Wire", "Worker",
      ],
      swiftSettings: plain),
    .testTarget(
      name: "SimulationTests", dependencies: ["CoordinatorCore", "Messaging", "Ring", "Shared", "Wire", "WorkerCore"],
      swiftSettings: plain),
    .testTarget(
      name: "ToolTests", dependencies: ["TestSupport"],
      exclude: [
        "golden.py", "test_experiments.py", "test_file.py", "test_import.py", "test_import_torch.py", "test_onnx.py",
        "test_torch.py",
      ],
      swiftSettings: plain),
    .testTarget(
      name: "ClusterTests",
      dependencies: ["CLinux", "Messaging", "Recipes", "Shared", "TestSupport", "Wire", database], swiftSettings: plain
    ),
  ],
  swiftLanguageModes: [.v6]
)
