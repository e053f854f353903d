// swift-tools-version: 6.3
import PackageDescription

// Warnings are errors everywhere; in `Sources` every use of unsafe memory must say so.
let strict: [SwiftSetting] = [.treatAllWarnings(as: .error), .strictMemorySafety()]
let plain: [SwiftSetting] = [.treatAllWarnings(as: .error)]
// Contraction would let the compiler fuse a*b + c in one build of a kernel and not in another.
let kernels: [CSetting] = [.treatAllWarnings(as: .error), .unsafeFlags(["-O3", "-ffp-contract=off"])]

let arguments: Target.Dependency = .product(name: "ArgumentParser", package: "swift-argument-parser")
let logging: Target.Dependency = .product(name: "Logging", package: "swift-log")

let package = Package(
  name: "tamring",
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
    .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
    .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
  ],
  targets: [
    .systemLibrary(name: "CXXHash"),
    .systemLibrary(name: "CSodium"),

    .target(name: "CKernels", cSettings: kernels),
    .target(name: "Shared", dependencies: ["CKernels", "CXXHash", "CSodium", "Yams"], swiftSettings: strict),
    .executableTarget(name: "Coordinator", dependencies: ["Shared", arguments, logging], swiftSettings: strict),
    .executableTarget(name: "Worker", dependencies: ["Shared", arguments, logging], swiftSettings: strict),

    .testTarget(name: "SharedTests", dependencies: ["Shared"], swiftSettings: plain),
    .testTarget(name: "CoordinatorTests", dependencies: ["Coordinator", "Shared"], swiftSettings: plain),
    .testTarget(name: "WorkerTests", dependencies: ["Worker", "Shared"], swiftSettings: plain),
  ],
  swiftLanguageModes: [.v6]
)
