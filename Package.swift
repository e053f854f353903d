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
    .systemLibrary(name: "CFFmpeg"),
    .systemLibrary(name: "CLZ4"),
    .systemLibrary(name: "CLinux"),
    .systemLibrary(name: "COpenBLAS"),
    .systemLibrary(name: "CSodium"),
    .systemLibrary(name: "CXXHash"),
    .systemLibrary(name: "CZMQ"),

    .target(name: "CKernels", cSettings: kernels),
    .target(
      name: "COneDNN", cSettings: [.treatAllWarnings(as: .error)],
      linkerSettings: [.linkedLibrary("dnnl"), .linkedLibrary("gomp")]),
    .target(name: "Shared", dependencies: ["CKernels", "CLinux", "CXXHash", "CSodium", "Yams"], swiftSettings: strict),
    .target(name: "Messaging", dependencies: ["CLinux", "CZMQ", "Shared"], swiftSettings: strict),
    .target(name: "VideoIndex", dependencies: ["Shared"], swiftSettings: strict),
    .target(
      name: "VideoData", dependencies: ["CFFmpeg", "CKernels", "Shared", "VideoIndex"], swiftSettings: strict),
    .target(name: "BLVNet", dependencies: ["CKernels", "COneDNN", "COpenBLAS", "Shared"], swiftSettings: strict),
    .target(name: "Ring", dependencies: ["CKernels", "CLZ4", "CXXHash", "Shared"], swiftSettings: strict),
    .target(name: "Checkpoint", dependencies: ["CLinux", "Shared"], swiftSettings: strict),
    .target(
      name: "Training", dependencies: ["BLVNet", "CKernels", "Checkpoint", "Ring", "Shared"], swiftSettings: strict),
    .target(name: "RunJournal", dependencies: ["Shared", database], swiftSettings: strict),
    .target(name: "CoordinatorCore", dependencies: ["Shared"], swiftSettings: strict),
    .target(name: "WorkerCore", dependencies: ["Ring", "Shared"], swiftSettings: strict),
    .executableTarget(
      name: "Coordinator",
      dependencies: [
        "CLinux", "Checkpoint", "CoordinatorCore", "Messaging", "RunJournal", "Shared", "VideoData", "VideoIndex",
        arguments, logging,
      ], resources: [.embedInCode("Commands/demo.yaml")], swiftSettings: strict),
    .executableTarget(
      name: "Worker",
      dependencies: [
        "BLVNet", "CLinux", "Checkpoint", "Messaging", "Ring", "Shared", "Training", "VideoData", "VideoIndex",
        "WorkerCore", arguments, logging,
      ], swiftSettings: strict),

    .target(name: "AllocationCounter", path: "Tests/AllocationCounter", cSettings: [.treatAllWarnings(as: .error)]),
    .target(name: "TestSupport", dependencies: ["CLinux", "Shared"], path: "Tests/TestSupport", swiftSettings: plain),
    .testTarget(name: "SharedTests", dependencies: ["CSodium", "Shared"], swiftSettings: plain),
    .testTarget(name: "MessagingTests", dependencies: ["Messaging", "Shared"], swiftSettings: plain),
    .testTarget(name: "VideoIndexTests", dependencies: ["VideoIndex", "Shared"], swiftSettings: plain),
    .testTarget(
      name: "VideoDataTests", dependencies: ["CFFmpeg", "Shared", "VideoData", "VideoIndex"], swiftSettings: plain),
    .testTarget(
      name: "BLVNetTests", dependencies: ["BLVNet", "CKernels", "Shared", "Training", "Yams"], swiftSettings: plain),
    .testTarget(
      name: "TrainingTests", dependencies: ["BLVNet", "Checkpoint", "Ring", "Shared", "Training"],
      swiftSettings: plain),
    .testTarget(
      name: "RingTests", dependencies: ["AllocationCounter", "CKernels", "Ring", "Shared"],
      resources: [.copy("Fixtures")],
      swiftSettings: plain),
    // What the tests of checkpoints and journal run under strace.
    .executableTarget(
      name: "DurableWriter", dependencies: ["Checkpoint", "RunJournal", "Shared"], path: "Tests/DurableWriter",
      swiftSettings: plain),
    .testTarget(
      name: "CheckpointTests", dependencies: ["Checkpoint", "DurableWriter", "Shared", "TestSupport"],
      swiftSettings: plain),
    .testTarget(
      name: "RunJournalTests", dependencies: ["DurableWriter", "RunJournal", "Shared", "TestSupport", database],
      exclude: ["Fixtures"],
      swiftSettings: plain),
    .testTarget(name: "CoordinatorCoreTests", dependencies: ["CoordinatorCore", "Shared"], swiftSettings: plain),
    .testTarget(name: "WorkerCoreTests", dependencies: ["Shared", "WorkerCore"], swiftSettings: plain),
    .testTarget(
      name: "CoordinatorTests",
      dependencies: [
        "Checkpoint", "Coordinator", "CoordinatorCore", "Messaging", "RunJournal", "Shared", "TestSupport",
        "VideoIndex", database,
      ],
      swiftSettings: plain),
    .testTarget(
      name: "WorkerTests", dependencies: ["AllocationCounter", "BLVNet", "Messaging", "Ring", "Shared", "Worker"],
      swiftSettings: plain),
    .testTarget(
      name: "SimulationTests", dependencies: ["CoordinatorCore", "Ring", "Shared", "WorkerCore"], swiftSettings: plain),
    .testTarget(name: "ClusterTests", dependencies: ["Shared", "TestSupport", database], swiftSettings: plain),
  ],
  swiftLanguageModes: [.v6]
)
