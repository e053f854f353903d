// Decoding in other processes, which are killed, stopped and left alone for real.
import CLinux
import Foundation
import Glibc
import Shared
import Synchronization
import TestSupport
import Testing

@testable import DemoData
@testable import Video

private let program = RunningProcess.built("SeparateDecoder") ?? "SeparateDecoder"

@Suite(.timeLimit(.minutes(2))) struct DecodingPoolTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  /// The decoders that a pool has started.
  private final class Started: Sendable {
    private let all = Mutex<[(pid_t, DecoderStatus)]>([])
    func add(_ pid: pid_t, _ status: DecoderStatus) { all.withLock { $0.append((pid, status)) } }
    var count: Int { all.withLock { $0.count } }
    var last: (pid: pid_t, status: DecoderStatus)? { all.withLock { $0.last } }
  }

  private func pool(
    silence: Duration = .seconds(20), _ started: Started = Started(),
    then: @escaping @Sendable (pid_t) -> Void = { _ in }
  ) -> DecodingPool {
    var settings = DecodingPool.Settings(command: [program], silence: silence)
    settings.started = {
      started.add($0, $1)
      then($0)
    }
    return DecodingPool(settings)
  }

  private func write(_ name: String, _ data: Data) throws -> String {
    try data.write(to: URL(fileURLWithPath: folder.path(name)))
    return folder.path(name)
  }

  private func request(_ path: String, clip: Int = 0, isChecked: Bool = true) throws -> ClipRequest {
    let data = try Data(contentsOf: URL(fileURLWithPath: path))
    return ClipRequest(
      path: path, clip: clip, expectedBytes: isChecked ? UInt64(data.count) : 0,
      expectedHash: Digest128(of: data))
  }

  /// A clip whose frames are all decoded.
  private func longClip() throws -> ClipRequest {
    try request(write("long.mp4", ClipMaker(frames: 600).make()), clip: 3)
  }

  private let form = ClipForm(frames: 4, size: 20, training: true, seed: 1)

  private func load(
    _ request: ClipRequest, _ form: ClipForm, _ decoders: DecodingPool?, epoch: Int = 0, tries: Int = 1
  ) throws -> [Float] {
    let loader = ClipLoader(decoders: decoders ?? .inThisProcess())
    let storage = loader.storage(count: form.clipElements)
    try loader.load(request, form, epoch: epoch, into: storage, tries: tries)
    return storage.array(0..<form.clipElements)
  }

  private func descriptors(_ pid: pid_t) throws -> Int {
    try FileManager.default.contentsOfDirectory(atPath: "/proc/\(pid)/fd").count
  }

  private func lines(_ pid: pid_t, _ file: String) throws -> [Substring] {
    try String(contentsOfFile: "/proc/\(pid)/\(file)", encoding: .utf8).split(separator: "\n")
  }

  private func residentKilobytes(_ pid: pid_t) throws -> Int {
    let line = try #require(try lines(pid, "status").first { $0.hasPrefix("VmRSS:") })
    return try #require(Int(line.filter(\.isNumber)))
  }

  // MARK: The same

  @Test("200 clips have the bits of decoding in this process, and take no more memory or descriptors than the first")
  func sameBits() throws {
    var requests = try (0..<4).map { number in
      try request(
        write(
          "\(number).mp4",
          DemoEncoder().encode(
            DemoClip(split: .train, number: number).frames(seed: 1), size: DemoClip.size, framesPerSecond: 12)),
        clip: number)
    }
    requests.append(try request(write("a.webm", ClipMaker(encoder: "libvpx-vp9", container: "webm").make())))
    let started = Started()
    let pool = pool(started)
    let (ours, theirs) = (ClipLoader(), ClipLoader(decoders: pool))
    var before = (descriptors: 0, memory: 0)
    for round in 0..<40 {
      // A lane's clips lie in one storage; memory that is dropped must not stay mapped anywhere.
      let here = ours.storage(count: requests.count * form.clipElements)
      let there = theirs.storage(count: requests.count * form.clipElements)
      #expect(there.segment != nil)
      for (place, request) in requests.enumerated() {
        try ours.load(request, form, epoch: round, into: here, at: place * form.clipElements)
        try theirs.load(request, form, epoch: round, into: there, at: place * form.clipElements)
      }
      #expect(here.array == there.array, "round \(round)")
      let child = try #require(started.last?.pid)
      let maps = try lines(child, "maps").count { $0.contains("memfd:") }
      #expect(maps <= 3, "its status, this storage, and the one before")
      if round == 10 { before = (try descriptors(child), try residentKilobytes(child)) }
      if round == 39 {
        #expect(try descriptors(child) <= before.descriptors)
        #expect(try residentKilobytes(child) < before.memory + 4096)
      }
    }
    #expect(started.count == 1)
    // Memory that cannot be shared gets a copy.
    let plain = FloatStorage(count: form.clipElements)
    try theirs.load(requests[2], form, epoch: 39, into: plain)
    #expect(plain.array == (try load(requests[2], form, nil, epoch: 39)))
  }

  @Test("a file that cannot be used fails with the same words")
  func sameErrors() throws {
    let whole = try ClipMaker().make()
    var changed = try request(write("changed.mp4", whole))
    changed.expectedHash.low ^= 1
    var beyond = try request(write("beyond.mp4", whole))
    beyond.first = 1000
    try FileManager.default.createDirectory(atPath: folder.path("empty"), withIntermediateDirectories: true)
    func unchecked(_ path: String) -> ClipRequest {
      ClipRequest(path: path, clip: 8, expectedBytes: 0, expectedHash: Digest128(high: 0, low: 0))
    }
    let requests = [
      changed, beyond, unchecked(folder.path("missing")), unchecked(folder.path("empty")),
      unchecked(try write("cut.mp4", whole.prefix(whole.count / 2))), unchecked(try write("zero", Data())),
      unchecked(try write("text.mp4", Data("no video".utf8))), unchecked("a\0b"),
      unchecked(String(repeating: "x", count: 1 << 20)),
    ]
    let pool = pool()
    for request in requests {
      let ours = #expect(throws: VideoError.self) { try load(request, form, nil) }
      let theirs = #expect(throws: VideoError.self) { try load(request, form, pool) }
      #expect(ours == theirs && ours?.clip == request.clip, "\(request.path.prefix(100))")
      let probed = #expect(throws: VideoError.self) {
        // Only loading compares, and knows a range of frames.
        try ClipProbe.probe(request.expectedBytes > 0 ? "/" : request.path, deep: true)
      }
      #expect(
        probed
          == #expect(throws: VideoError.self) {
            try pool.probe(request.expectedBytes > 0 ? "/" : request.path, deep: true)
          })
    }
  }

  @Test("probing and taking pictures find the same")
  func sameProbes() throws {
    let path = try write("a.mp4", ClipMaker(frames: 90).make())
    let pool = pool()
    for deep in [false, true] {
      let clip = try pool.probe(path, deep: deep)
      #expect(clip == (try ClipProbe.probe(path, deep: deep)))
      #expect(clip.times.count == 90)
    }
    let ours = try ClipPictures(path, first: 0, frames: 90, count: 3, height: 32)
    #expect(try pool.pictures(path, first: 0, frames: 90, count: 3, height: 32).jpegs == ours.jpegs)
  }

  // MARK: What goes wrong

  @Test("a decoder that is killed in the middle of a clip costs a second try")
  func killedOnce() throws {
    let request = try longClip()
    let truth = try load(request, form, nil)
    let started = Started()
    let pool = pool(started)
    _ = try pool.probe(request.path, deep: false)
    var isHit = false
    for _ in 0..<50 where !isHit {
      let (pid, status) = try #require(started.last)
      let (before, processes) = (status.progress, started.count)
      let done = Atomic<Bool>(false)
      try withThread {
        defer { done.store(true, ordering: .releasing) }
        return try load(request, form, pool)
      } while: {
        // All packets are read, and some are decoded.
        while status.progress < before + 650, !done.load(ordering: .acquiring) { sched_yield() }
        kill(pid, SIGSTOP)
        isHit = !done.load(ordering: .acquiring)
        if isHit { kill(pid, SIGSEGV) }
        kill(pid, SIGCONT)
      } then: { clip in
        #expect(clip == truth)
        #expect(started.count == processes + (isHit ? 1 : 0))
      }
    }
    #expect(isHit)
  }

  @Test("a clip whose decoder crashes twice fails with that reason, and the next clip is decoded")
  func killedTwice() throws {
    let request = try request(write("a.mp4", ClipMaker().make()), clip: 7)
    let kills = Atomic<Int>(2)
    let started = Started()
    let pool = pool(started) { pid in
      if kills.wrappingSubtract(1, ordering: .relaxed).oldValue > 0 { kill(pid, SIGSEGV) }
    }
    let error = #expect(throws: VideoError.self) { try load(request, form, pool, tries: 2) }
    #expect(
      error?.description
        == "clip 7, '\(request.path)': cannot decode: its decoder crashed (SIGSEGV), twice; replace the file or take "
        + "it out of the list")
    #expect(started.count == 2)
    #expect(try load(request, form, pool) == load(request, form, nil))
    // It may be the kernel's choice when memory is short.
    kills.store(2, ordering: .relaxed)
    let none = self.pool { if kills.wrappingSubtract(1, ordering: .relaxed).oldValue > 0 { kill($0, SIGKILL) } }
    #expect(#expect(throws: VideoError.self) { try none.probe(request.path, deep: false) }?.status == .ioError)
  }

  @Test("an idle decoder that ended is replaced, and a program that is none or is missing is named")
  func replaced() throws {
    let request = try request(write("a.mp4", ClipMaker().make()))
    let started = Started()
    let pool = pool(started)
    _ = try load(request, form, pool)
    let pid = try #require(started.last?.pid)
    let ending = openProcess(pid)
    defer { close(ending) }
    kill(pid, SIGABRT)
    #expect(isReadable(ending, within: 20))
    #expect(try load(request, form, pool) == load(request, form, nil))
    #expect(started.count == 2)
    for (command, cause) in [
      ("/bin/true", "its decoder ended with exit code 0, twice"), ("/bin/yes", "its decoder ended"),
      (folder.path("none"), "its decoder cannot be started (No such file or directory)"),
    ] {
      let other = DecodingPool(DecodingPool.Settings(command: [command]))
      let error = #expect(throws: VideoError.self) { try load(request, form, other) }
      #expect(error?.cause.hasPrefix(cause) == true, "\(String(describing: error))")
    }
  }

  @Test("a decoder that is stopped is ended, and the clip comes out")
  func stopped() throws {
    let request = try request(write("a.mp4", ClipMaker().make()))
    let started = Started()
    let pool = pool(silence: .seconds(1), started)
    _ = try load(request, form, pool)
    let pid = try #require(started.last?.pid)
    kill(pid, SIGSTOP)
    #expect(try load(request, form, pool) == load(request, form, nil))
    #expect(started.count == 2 && kill(pid, 0) == -1)
    // Stopped each time.
    let stops = self.pool(silence: .milliseconds(400)) { kill($0, SIGSTOP) }
    let error = #expect(throws: VideoError.self) { try load(request, form, stops) }
    #expect(error?.cause.hasPrefix("its decoder hung: it did nothing for 1.") == true, "\(String(describing: error))")
    #expect(error?.cause.hasSuffix(" s, twice") == true)
  }

  @Test("a decoder that gets no more memory ends alone")
  func memory() throws {
    let request = try request(write("a.mp4", ClipMaker(frames: 8, width: 3840, height: 2160).make()))
    let limited = DecodingPool(
      DecodingPool.Settings(command: ["/bin/sh", "-c", "ulimit -d 60000; exec \"$0\" \"$@\"", program]))
    let error = #expect(throws: VideoError.self) { try load(request, form, limited) }
    // FFmpeg's decoders notice it, or take it for damage, or crash.
    #expect(error?.operation == "decode", "\(String(describing: error))")
    #expect(try load(request, form, pool()) == load(request, form, nil))
  }

  @Test("decoders end with the process that started them, whose descriptors do not grow")
  func orphans() throws {
    let path = try write("a.mp4", ClipMaker().make())
    let parent = try RunningProcess(program, ["load", path, "4", "20"])
    #expect(parent.wait(for: "loaded 10;"))
    let before = try descriptors(parent.pid)
    #expect(parent.wait(for: "loaded 200;"))
    // The storage of one clip comes and goes.
    #expect(try descriptors(parent.pid) <= before + 2)
    let children = try String(
      contentsOfFile: "/proc/\(parent.pid)/task/\(parent.pid)/children", encoding: .utf8)
    let pid = try #require(pid_t(children.split(separator: " ").first ?? ""))
    let ending = openProcess(pid)
    #expect(ending >= 0)
    defer { close(ending) }
    parent.signal(SIGKILL)
    #expect(isReadable(ending, within: 20))
  }

  @Test("a prefetcher's lanes come out of other processes, also when one is killed meanwhile")
  func lanes() throws {
    let requests = try (0..<6).map { number in
      try request(write("\(number).mp4", ClipMaker(frames: 20 + number).make()), clip: number)
    }
    let started = Started()
    let loader = ClipLoader(decoders: pool(started) { if started.count == 1 { kill($0, SIGSEGV) } })
    let prefetcher = Prefetcher(threads: 2, capacity: 2, loader: loader)
    defer { prefetcher.stop() }
    for step in 0..<3 {
      let key = LaneKey(step: step, lane: 0)
      prefetcher.request(key, LaneJob(clips: requests, form: form, epoch: step))
      let batch = try #require(try prefetcher.take(key))
      for (place, request) in requests.enumerated() {
        let start = place * form.clipElements
        #expect(
          batch.storage.array(start..<start + form.clipElements) == (try load(request, form, nil, epoch: step)))
      }
      prefetcher.recycle(batch)
    }
    #expect((2...4).contains(started.count))
    #expect(loader.progress.count > 3 * 6 * 20)
  }

  private func isReadable(_ descriptor: Int32, within seconds: Int32) -> Bool {
    var item = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
    return poll(&item, 1, seconds * 1000) == 1
  }

  /// Runs `work` on a thread of its own while `meanwhile` runs here.
  private func withThread<Value: Sendable>(
    _ work: @escaping @Sendable () throws -> Value, while meanwhile: () -> Void, then: (Value) -> Void
  ) throws {
    let outcome = Mutex<Result<Value, any Error>?>(nil)
    let done = DispatchSemaphore(value: 0)
    startThread(named: "load") {
      let result = Result { try work() }
      outcome.withLock { $0 = result }
      done.signal()
    }
    meanwhile()
    done.wait()
    then(try #require(outcome.withLock { $0 }).get())
  }
}
