// swift-tools-version: 6.3
import PackageDescription

// Warnings are errors everywhere; in `Sources` every use of unsafe memory must say so.
let strict: [SwiftSetting] = [.treatAllWarnings(as: .error), .strictMemorySafety()]
let plain: [SwiftSetting] = [.treatAllWarnings(as: .error)]
// Contraction would let the compiler fuse a*b + c in one build of a kernel and not in another.
let kernels: [CSetting] = [.treatAllWarnings(as: .error), .unsafeFlags(["-O3", "-ffp-contract=off"])]

let package = Package(
  name: "tamring",
  dependencies: [
    .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
    .package(url: "https://github.com/groue/GRDB.swift", exact: "7.10.0"),
  ],
  targets: [
    .systemLibrary(name: "CXXHash"),
    .systemLibrary(name: "CSodium"),

    .target(name: "CKernels", cSettings: kernels),
    .target(name: "Shared", dependencies: ["CKernels", "CXXHash", "CSodium", "Yams"], swiftSettings: strict),

    .target(name: "Checkpoint", dependencies: ["Shared", "CSodium"], swiftSettings: strict),
    .target(
      name: "RunJournal", dependencies: ["Shared", .product(name: "GRDB", package: "GRDB.swift")],
      swiftSettings: strict),

    .testTarget(name: "CheckpointTests", dependencies: ["Checkpoint", "Shared"], swiftSettings: plain),
    .testTarget(
      name: "RunJournalTests",
      dependencies: ["RunJournal", "Shared", .product(name: "GRDB", package: "GRDB.swift")], swiftSettings: plain),
    .testTarget(name: "SharedTests", dependencies: ["Shared"], swiftSettings: plain),
  ],
  swiftLanguageModes: [.v6]
)
