import Dataset
import Foundation
import Shared
import Testing

@testable import DemoData

@Suite struct DemoDataSetTests {
  private func withFolder(_ body: (String) throws -> Void) throws {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString).path
    defer { try? FileManager.default.removeItem(atPath: folder) }
    try body(folder)
  }

  /// The bytes of all files below `folder`, by path.
  private func files(_ folder: String) throws -> [String: Data] {
    var files: [String: Data] = [:]
    for path in try FileManager.default.subpathsOfDirectory(atPath: folder) {
      let url = URL(fileURLWithPath: folder).appendingPathComponent(path)
      if try url.resourceValues(forKeys: [.isRegularFileKey]).isRegularFile == true {
        files[path] = try Data(contentsOf: url)
      }
    }
    return files
  }

  @Test("the same seed gives the same bytes on one thread and on three, another seed gives others")
  func sameBytes() throws {
    try withFolder { a in
      try withFolder { b in
        try withFolder { c in
          #expect(try DemoDataSet.write(to: a, training: 13, validation: 7, seed: 5, threads: 1))
          #expect(try DemoDataSet.write(to: b, training: 13, validation: 7, seed: 5, threads: 3))
          #expect(try DemoDataSet.write(to: c, training: 13, validation: 7, seed: 6, threads: 2))
          let (first, second, third) = (try files(a), try files(b), try files(c))
          #expect(first.count == 20 + 3)
          #expect(first == second)
          #expect(first.keys.sorted() == third.keys.sorted())
          #expect(first.allSatisfy { $0.key.hasSuffix(".csv") || third[$0.key] != $0.value })
        }
      }
    }
  }

  @Test("every row of the lists is found in the layout, under its class")
  func layout() throws {
    try withFolder { folder in
      try DemoDataSet.write(to: folder, training: 13, validation: 6, seed: 5)
      let files = try VideoFolder(scanning: folder)
      let train = try Annotations(contentsOf: "\(folder)/train.csv")
      let classes = try ClassList(labelsOf: train)
      #expect(classes.names == DemoSet.motion.classes)
      for (list, count) in [("train", 13), ("validation", 6)] {
        let annotations = try Annotations(contentsOf: "\(folder)/\(list).csv")
        let candidates = try ClipCandidates(of: annotations, classes: classes, folder: files)
        #expect(candidates.found.count == count && candidates.rejected.isEmpty)
        #expect(candidates.found.allSatisfy { $0.path.hasPrefix("\(list)/\(classes.names[$0.labels[0]])/") })
      }
    }
  }

  @Test("the encoder gives the same bytes with the CPU's vector instructions and without")
  func anyCPU() throws {
    var scalar = DemoEncoder()
    scalar.parameters += ":asm=0"
    for number in 0..<12 {
      let frames = DemoClip(split: .train, number: number).frames(seed: 1)
      let bytes = try DemoEncoder().encode(frames, size: DemoClip.size, framesPerSecond: 12)
      #expect(try scalar.encode(frames, size: DemoClip.size, framesPerSecond: 12) == bytes)
      #expect((1_000..<30_000).contains(bytes.count))
    }
  }

  @Test("the pictures are what they were when this test was written, on any CPU")
  func pictures() {
    let stream = Digest128Stream()
    for number in 0..<6 {
      for frame in DemoClip(split: .validation, number: number).frames(seed: 1) {
        stream.update(frame.luma)
        stream.update(frame.blue)
        stream.update(frame.red)
      }
    }
    #expect(stream.finish().description == "4ffd3288ab33213cf6d807eab28d4bcc")
  }

  @Test("the two classes of a pair are drawn alike, and played in opposite directions")
  func pairs() {
    for number in stride(from: 0, to: 6, by: 2) {
      let forward = DemoClip(split: .train, number: number)
      let backward = DemoClip(split: .train, number: number + 1)
      #expect(!forward.kind.isReversed && backward.kind.isReversed)
      var a = Philox(seed: 1, .demoData, 9, 9)
      var b = Philox(seed: 1, .demoData, 9, 9)
      let (first, second) = (DemoScene(of: forward.kind, from: &a), DemoScene(of: backward.kind, from: &b))
      #expect(first.frame(7, from: &a) == second.frame(7, from: &b))
    }
  }

  @Test("complete data is left as it is")
  func complete() throws {
    try withFolder { folder in
      #expect(try DemoDataSet.write(to: folder, training: 2, validation: 1, seed: 5))
      let marker = "\(folder)/train.csv"
      try Data("edited".utf8).write(to: URL(fileURLWithPath: marker))
      #expect(try !DemoDataSet.write(to: folder, training: 2, validation: 1, seed: 5))
      #expect(try String(contentsOfFile: marker, encoding: .utf8) == "edited")
      let error = #expect(throws: DemoDataError.self) {
        try DemoDataSet.write(to: folder, training: 3, validation: 1, seed: 5)
      }
      #expect(error?.status == .usage)
    }
  }

  @Test("partial data is made anew, whatever it held")
  func partial() throws {
    try withFolder { folder in
      try DemoDataSet.write(to: folder, training: 3, validation: 1, seed: 5)
      let whole = try files(folder)
      _ = try DemoFolder(path: folder + "/x", contents: "training 9\n").begin()
      let stamp = URL(fileURLWithPath: folder + "/demo-data.txt")
      try FileManager.default.removeItem(at: stamp)
      try FileManager.default.moveItem(at: URL(fileURLWithPath: folder + "/x/demo-data.txt"), to: stamp)
      try FileManager.default.removeItem(atPath: folder + "/x")
      try Data().write(to: URL(fileURLWithPath: folder + "/train/moving left/old.mp4.partial"))
      #expect(try DemoDataSet.write(to: folder, training: 3, validation: 1, seed: 5))
      #expect(try files(folder) == whole)
    }
  }

  @Test("a folder with somebody else's data is not touched")
  func foreign() throws {
    try withFolder { folder in
      try FileManager.default.createDirectory(atPath: folder + "/train/yoga", withIntermediateDirectories: true)
      let error = #expect(throws: DemoDataError.self) {
        try DemoDataSet.write(to: folder, training: 1, validation: 1, seed: 5)
      }
      #expect(error?.description.contains("holds a 'train' that is not the demo's") == true)
      #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["train"])
    }
  }

  @Test("a folder that cannot be made is an I/O error that names it")
  func unwritable() throws {
    try withFolder { folder in
      try Data().write(to: URL(fileURLWithPath: folder))
      let error = #expect(throws: DemoDataError.self) {
        try DemoDataSet.write(to: folder + "/in", training: 1, validation: 1, seed: 5)
      }
      #expect(error?.status == .ioError && error?.description.hasPrefix(folder) == true)
    }
  }

  @Test("a missing encoder is named, with what to install")
  func missingEncoder() {
    let error = #expect(throws: DemoDataError.self) {
      try DemoEncoder(name: "no-such-encoder").encode([], size: 80, framesPerSecond: 12)
    }
    #expect(error?.status == .unavailable && error?.description.contains("libavcodec") == true)
  }

  @Test("progress counts every clip once")
  func progress() throws {
    try withFolder { folder in
      let counts = Counts()
      try DemoDataSet.write(to: folder, training: 4, validation: 3, seed: 5, threads: 2) { done, total in
        counts.add(done, total)
      }
      #expect(counts.all == (1...7).map { [$0, 7] })
    }
  }
}

private final class Counts: @unchecked Sendable {
  /// Written under the writer's lock, read after it has returned.
  private(set) var all: [[Int]] = []
  func add(_ done: Int, _ total: Int) { all.append([done, total]) }
}
