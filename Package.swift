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
    .package(url: "https://github.com/jpsim/Yams", from: "6.2.2")
  ],
  targets: [
    .systemLibrary(name: "CXXHash"),
    .systemLibrary(name: "CSodium"),
    .systemLibrary(name: "CFFmpeg"),

    .target(name: "CKernels", cSettings: kernels),
    .target(name: "Shared", dependencies: ["CKernels", "CXXHash", "CSodium", "Yams"], swiftSettings: strict),
    .target(name: "VideoData", dependencies: ["CFFmpeg", "CKernels", "Shared"], swiftSettings: strict),

    .testTarget(name: "SharedTests", dependencies: ["Shared"], swiftSettings: plain),
    .testTarget(name: "VideoDataTests", dependencies: ["VideoData", "CFFmpeg", "Shared"], swiftSettings: plain),
  ],
  swiftLanguageModes: [.v6]
)
