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
    .executable(name: "worker", targets: ["Worker"])
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
    .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
    .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
  ],
  targets: [
    .systemLibrary(name: "CXXHash"),
    .systemLibrary(name: "CLinux"),
    .systemLibrary(name: "CSodium"),
    .systemLibrary(name: "CZMQ"),

    .target(name: "CKernels", cSettings: kernels),
    .target(name: "Shared", dependencies: ["CKernels", "CXXHash", "CSodium", "Yams"], swiftSettings: strict),
    .target(name: "Messaging", dependencies: ["CLinux", "CZMQ", "Shared"], swiftSettings: strict),
    .target(name: "Coordinator", dependencies: ["CLinux", "Messaging", "Shared"], swiftSettings: strict),

    .target(name: "TestSupport", path: "Tests/TestSupport", swiftSettings: plain),
    .testTarget(name: "SharedTests", dependencies: ["Shared"], swiftSettings: plain),
    .testTarget(name: "MessagingTests", dependencies: ["Messaging", "Shared"], swiftSettings: plain),
    .testTarget(
      name: "CoordinatorTests", dependencies: ["Coordinator", "Messaging", "Shared", "TestSupport"],
      swiftSettings: plain),
  ],
  swiftLanguageModes: [.v6]
)
