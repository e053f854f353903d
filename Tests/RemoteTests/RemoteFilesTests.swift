// The client and the cache, against a real server that fails.
import Foundation
import Shared
import TestSupport
import Testing

@testable import Remote

@Suite(.timeLimit(.minutes(2))) struct RemoteFilesTests {
  private let folder: TemporaryFolder
  private let web: TemporaryFolder

  init() throws {
    (folder, web) = (try TemporaryFolder(), try TemporaryFolder())
  }

  private static let patience = Patience(
    waits: Array(repeating: .milliseconds(20), count: 6), longest: .milliseconds(50))

  private func files(bytes: UInt64 = 1 << 30, stall: Duration = .seconds(15)) -> RemoteFiles {
    RemoteFiles(folder: folder.path("cache"), bytes: bytes, Self.patience, HTTPLimits(stall: stall))
  }

  @discardableResult
  private func write(_ name: String, _ count: Int, seed: UInt64 = 1) throws -> Data {
    var random = Philox(seed: seed, .selfTest)
    let data = Data((0..<count).map { _ in UInt8(random.unit() * 255) })
    try data.write(to: web.url.appendingPathComponent(name))
    return data
  }

  private func contents(_ file: LocalFile, _ range: Range<UInt64>? = nil) throws -> Data {
    let data = try Data(contentsOf: URL(fileURLWithPath: file.path))
    return range.map { data[Int($0.lowerBound)..<Int($0.upperBound)] } ?? data
  }

  /// Bytes of all files in the cache.
  private func held() throws -> Int {
    let paths = try FileManager.default.subpathsOfDirectory(atPath: folder.path("cache"))
    return paths.filter { !$0.contains("facts") }.reduce(0) { sum, path in
      // It may be gone by now.
      let facts = (try? FileManager.default.attributesOfItem(atPath: folder.path("cache/\(path)"))) ?? [:]
      return sum + (facts[.type] as? FileAttributeType == .typeRegular ? (facts[.size] as? Int ?? 0) : 0)
    }
  }

  private func failure(_ body: () throws -> Void) -> RemoteError? {
    do { try body() } catch { return error as? RemoteError }
    return nil
  }

  @Test("a file arrives whole from a server that refuses, resets, cuts and stalls", arguments: [1, 2, 3])
  func failing(seed: Int) throws {
    let data = try write("a.tar", 3_000_000)
    let server = try HTTPServer(
      web.url.path, ["--fail", "1", "--seed", "\(seed)", "--kinds", "reset,cut,stall"])
    let remote = files(stall: .seconds(1))
    #expect(try contents(remote.whole(server.address("a.tar"))) == data)
    let log = server.stop()
    #expect(log.contains { $0.contains(" 206") && !$0.contains("0-0") }, "it went on where it broke off: \(log)")
  }

  @Test("ranges arrive whole from such a server, and the cache that is too small for the file holds nothing of it")
  func failingRanges() throws {
    let data = try write("a.tar", 3_000_000)
    let server = try HTTPServer(web.url.path, ["--fail", "0.5", "--kinds", "503,429,reset,cut"])
    let remote = files(bytes: 1_000_000)
    for start in stride(from: UInt64(0), to: 2_400_000, by: 300_000) {
      let range = start..<(start + 600_000)
      let (file, place) = try remote.clip(server.address("a.tar"), range) {}
      #expect(place == nil)
      #expect(try contents(file) == data[Int(start)..<Int(start) + 600_000])
    }
    let log = server.stop()
    #expect(log.contains { $0.contains("reset") || $0.contains("cut") }, "\(log)")
    #expect(try held() == 0)
  }

  @Test("what is read at random stays in a cache that is too small, and the rest is read by ranges")
  func smallCache() throws {
    let names = (0..<6).map { "\($0).tar" }
    let contents = try names.map { try write($0, 400_000, seed: UInt64($0.utf8.first ?? 0)) }
    let server = try HTTPServer(web.url.path)
    let remote = files(bytes: 1_000_000)
    for round in 0..<20 {
      for (number, name) in names.enumerated() {
        let range = UInt64(round * 10_000)..<UInt64(round * 10_000 + 5000)
        let (file, place) = try remote.clip(server.address(name), range) {}
        #expect(try self.contents(file, place) == contents[number][Int(range.lowerBound)..<Int(range.upperBound)])
        #expect(try held() <= 1_000_000)
      }
    }
    // The downloads go on behind the reads: wait until a shard answers from the disk.
    while try remote.clip(server.address(names[0]), 0..<10, progress: {}).file.identity == nil { usleep(10_000) }
    let log = server.stop()
    let whole = log.filter { $0.contains(" - 200") }
    #expect(Set(whole).count == whole.count, "no shard was downloaded twice: \(whole)")
    #expect(try held() <= 1_000_000)
  }

  @Test("the least recently used file gives way, one that is being read never, and a file above the bound is refused")
  func eviction() throws {
    for name in ["a", "b", "c"] { try write(name, 400_000) }
    try write("big", 1_200_000)
    let server = try HTTPServer(web.url.path)
    let remote = files(bytes: 1_000_000)
    var a: LocalFile? = try remote.whole(server.address("a"))
    _ = try remote.whole(server.address("b"))
    // b was used last, but a is being read.
    _ = try remote.whole(server.address("c"))
    #expect(try held() == 800_000)
    #expect(remote.isCached(server.address("a")) && !remote.isCached(server.address("b")))
    a = nil
    _ = try remote.whole(server.address("c"))
    _ = try remote.whole(server.address("b"))
    #expect(!remote.isCached(server.address("a")) && remote.isCached(server.address("c")))
    #expect(a == nil)
    let refusal = try #require(failure { _ = try remote.whole(server.address("big")) })
    #expect(refusal.status == .badConfiguration)
    #expect(
      refusal.description.hasSuffix(
        "/big: cannot be read (it has 1200000 bytes, and the cache may hold 1000000); set data.cache_bytes in the recipe "
          + "to more than the largest shard"))
  }

  @Test("who must wait for room waits for a reader to end")
  func waitForRoom() throws {
    for name in ["a", "b"] { try write(name, 400_000) }
    let server = try HTTPServer(web.url.path)
    let remote = files(bytes: 500_000)
    var held: LocalFile? = try remote.whole(server.address("a"))
    let done = DispatchSemaphore(value: 0)
    let address = server.address("b")
    startThread(named: "second") {
      _ = try? remote.whole(address)
      done.signal()
    }
    #expect(server.wait(for: "GET /b - 200"))
    #expect(try held.map { try contents($0).count } == 400_000)
    #expect(!remote.isCached(address))
    held = nil
    done.wait()
    #expect(remote.isCached(address))
  }

  @Test("several threads and objects download a file once")
  func once() throws {
    let data = try write("a.tar", 2_000_000)
    let server = try HTTPServer(web.url.path)
    let address = server.address("a.tar")
    let group = DispatchGroup()
    for number in 0..<6 {
      group.enter()
      startThread(named: "download \(number)") {
        let file = try? files().whole(address)
        #expect(file.flatMap { try? contents($0) } == data)
        group.leave()
      }
    }
    group.wait()
    #expect(server.stop().count { $0.contains(" - 200") } == 1)
  }

  @Test("a part of another version of the file is thrown away", arguments: [[], ["--no-validators"]])
  func changed(options: [String]) throws {
    try write("a.tar", 2_000_000, seed: 1)
    let first = try HTTPServer(web.url.path, ["--hold-after", "1000000"] + options)
    let limits = HTTPLimits(stall: .seconds(1))
    let once = RemoteFiles(folder: folder.path("cache"), bytes: 1 << 30, Patience(waits: [], longest: .zero), limits)
    let failure = try #require(failure { _ = try once.whole(first.address("a.tar")) })
    #expect(failure.isPassing, "\(failure)")
    #expect(try held() == 1_000_000)
    _ = first.stop()
    let data = try write("a.tar", 2_000_000, seed: 2)
    // The same address, so the same entry.
    let second = try HTTPServer(web.url.path, ["--port", "\(first.port)"] + options)
    #expect(try contents(files().whole(second.address("a.tar"))) == data)
    // And a whole file that has changed is noticed by the next command.
    let third = try write("a.tar", 2_000_000, seed: 3)
    #expect(try contents(files().whole(second.address("a.tar"))) == third)
  }

  @Test("a server without ranges serves whole files, to clips too")
  func withoutRanges() throws {
    let data = try write("a.tar", 500_000)
    let server = try HTTPServer(web.url.path, ["--no-ranges"])
    let remote = files()
    let (file, place) = try remote.clip(server.address("a.tar"), 1000..<2000) {}
    #expect(try contents(file, place) == data[1000..<2000])
    #expect(file.identity != nil)
  }

  @Test(
    "what the server has not is missing and names the status, without passwords and queries",
    arguments: [403, 404, 410]
  )
  func missing(status: Int) throws {
    let server = try HTTPServer(web.url.path)
    let address = server.address("status/\(status)?key=secret").replacing("http://", with: "http://me:secret@")
    let failure = try #require(failure { _ = try files().whole(address) })
    #expect(failure.kind == .missing && failure.status == .ioError)
    #expect(failure.description.contains("/status/\(status): cannot be read (the server answers \(status) "))
    #expect(!failure.description.contains("secret"))
    #expect(server.stop().count == 1)
  }

  @Test("redirects are followed, but not for ever; a server that is not there is a passing error")
  func redirects() throws {
    let data = try write("a.tar", 1000)
    let server = try HTTPServer(web.url.path)
    #expect(try files().document(server.address("redirect/a.tar"), limit: 1000) == data)
    #expect(failure { _ = try files().document(server.address("loop"), limit: 1000) }?.kind == .refused)
    #expect(failure { _ = try files().document(server.address("a.tar"), limit: 999) }?.kind == .refused)
    let port = server.port
    _ = server.stop()
    let away = try #require(failure { _ = try files().document("http://127.0.0.1:\(port)/a", limit: 1000) })
    #expect(away.isPassing, "\(away)")
  }

  @Test(
    "an untrusted certificate is refused by name, a trusted one is taken, and https leads to no http",
    .enabled(if: FileManager.default.isExecutableFile(atPath: "/usr/bin/openssl"), "openssl is not installed"))
  func certificates() throws {
    try write("a.tar", 1000)
    let file = folder.path("certificate.pem")
    let made = try RunningProcess(
      "/usr/bin/openssl",
      [
        "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1", "-addext",
        "subjectAltName=IP:127.0.0.1", "-keyout", file, "-out", folder.path("cert"),
      ]
    ).finish()
    #expect(made.status == 0, "\(made.output)")
    try folder.write(try folder.text("certificate.pem") + folder.text("cert"), to: "certificate.pem")
    let plain = try HTTPServer(web.url.path)
    let server = try HTTPServer(
      web.url.path, ["--certificate", file, "--elsewhere", "http://127.0.0.1:\(plain.port)"])
    let address = server.address("a.tar")
    let failure = try #require(failure { _ = try files().document(address, limit: 1000) })
    #expect(failure.kind == .refused && failure.description.contains("certificate is not trusted"), "\(failure)")
    setenv("CURL_CA_BUNDLE", folder.path("cert"), 1)
    defer { unsetenv("CURL_CA_BUNDLE") }
    #expect(try files().document(address, limit: 1000).count == 1000)
    let downgrade = try #require(
      self.failure { _ = try files().document(server.address("elsewhere/a.tar"), limit: 1000) })
    #expect(downgrade.kind == .refused, "\(downgrade)")
    #expect(plain.stop().isEmpty)
  }

  @Test("a pack's list decides what a file must be")
  func expected() throws {
    let data = try write("a.tar", 1000)
    let server = try HTTPServer(web.url.path)
    let address = server.address("a.tar")
    for (bytes, hash) in [(1001, sha256Hex(data)), (1000, sha256Hex(Data()))] {
      let remote = files()
      remote.expect(ExpectedFile(bytes: UInt64(bytes), sha256: hash), at: address)
      #expect(failure { _ = try remote.whole(address) }?.kind == .refused)
      #expect(!remote.isCached(address))
    }
    let remote = files()
    remote.expect(ExpectedFile(bytes: 1000, sha256: sha256Hex(data)), at: address)
    #expect(try contents(remote.whole(address)) == data)
  }

  @Test("addresses are shown without what may be secret")
  func shown() {
    #expect(shownPath("https://a:b@h/x.tar?k=v") == "https://h/x.tar")
    #expect(shownPath("http://h:80/a@b.tar#f") == "http://h:80/a@b.tar")
    #expect(shownPath("/data/a?b@c") == "/data/a?b@c")
    #expect(!isWebAddress("ftp://h/x") && !isWebAddress("http:/x") && isWebAddress("http://x"))
  }
}
