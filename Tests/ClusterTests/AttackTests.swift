// Whoever has no key, or the wrong one, changes nothing of a run that trains.
import Foundation
import Glibc
import Shared
import TestSupport
import Testing
import Wire

@testable import Messaging

@Suite struct AttackTests {
  /// A connection of an attacker, which goes on trying.
  private func attack(
    _ security: Security, as name: ConnectionName, at endpoint: Endpoint, key: PublicKey?, _ messages: [[Data]]
  ) throws -> Socket {
    let socket = try Connections.connect(MessagingContext(security), name, to: endpoint, key: key)
    for message in messages { _ = try socket.send(message, dontWait: true) }
    return socket
  }

  /// Connections without a word, or with half a greeting.
  private func knock(_ endpoint: Endpoint, times: Int) -> [Int32] {
    (0..<times).compactMap { number in
      let connection = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
      var address = sockaddr_in()
      address.sin_family = sa_family_t(AF_INET)
      address.sin_port = endpoint.port.bigEndian
      address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
      let connected = withUnsafePointer(to: &address) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
          connect(connection, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
        }
      }
      if connected == 0, number % 2 == 0 {
        _ = "\u{ff}not ZeroMQ".utf8CString.withUnsafeBytes {
          send(connection, $0.baseAddress, 8, Int32(MSG_NOSIGNAL))
        }
      }
      return connection >= 0 ? connection : nil
    }
  }

  @Test("strangers, plain text, a member under another's name and idle connections change nothing, with 2 workers")
  func attacks() throws {
    let cluster = try LocalCluster()
    // Long enough for all of them to come while it trains.
    try cluster.folder.write(LocalCluster.recipe.replacing("epochs: 12", with: "epochs: 40"), to: "small.yaml")
    let keys = KeyFiles(cluster.folder.path("keys"))
    try keys.make()
    let run = try RunningProcess(
      LocalCluster.program("coordinator"),
      cluster.training("run", hosts: "localhost slots=2", ["--launch", "none", "--keys", keys.folder]))
    #expect(run.wait(for: "waiting for 2 workers at "))
    let coordinator = try Endpoint(try cluster.folder.text("run/endpoint"))
    let workers = try (0..<2).map { rank in
      try RunningProcess(
        LocalCluster.program("worker"),
        ["--rank", "\(rank)", "--coordinator", coordinator.description, "--keys", keys.folder])
    }
    #expect(run.wait(for: "epoch 1/"))

    let plan = try #require(
      try cluster.query("run", "SELECT plan FROM generations ORDER BY number DESC LIMIT 1", as: String.self).first)
    let generation = try JSONDecoder().decode(Generation.self, from: Data(plan.utf8))
    let victim = try #require(generation.members.first { $0.identity.rank == 0 })
    let coordinatorKey = try keys.coordinatorKey()
    let member = Security.keys(own: try keys.worker(rank: 1), admitted: AdmittedKeys())
    let stranger = Security.keys(own: KeyPair(), admitted: AdmittedKeys())

    // What would end the run, or change it, if it counted.
    let forged: [WorkerMessage] = [
      .fault(Fault(kind: .other, generation: generation.number, step: 1, text: "forged")), .leaving,
      .standing(StateReport(generation: generation.number, next: 0)),
      .prepared(generation: generation.number, step: 0, weights: Digest128(high: 1, low: 2)),
      .checkpointReady(step: 1, blobs: []),
    ]
    let control = try forged.map { try ControlCodec.encode($0) }
    let frames = [[Data([0x52]), Data(count: 56)], [Data([0x42]), Data([1])]]
    let ring = ConnectionName.Channel.ring(generation: generation.number)
    let door = try Endpoint(victim.endpoint)
    var sockets: [Socket] = []
    for (security, key) in [(member, coordinatorKey), (stranger, coordinatorKey), (.none, nil)] {
      let name = ConnectionName(victim.identity, .control, number: 7)
      sockets.append(try attack(security, as: name, at: coordinator, key: key, control))
    }
    for (security, key) in [(member, victim.key), (stranger, victim.key), (.none, nil)] {
      for other in [victim.identity, WorkerIdentity(rank: 5, incarnation: 1)] {
        sockets.append(
          try attack(security, as: ConnectionName(other, ring, number: 9), at: door, key: key, frames))
      }
    }
    let idle = [coordinator, door].flatMap { knock($0, times: 200) }
    defer { idle.forEach { close($0) } }

    #expect(run.wait(for: "its sender's key is not that of worker 0"), "\(run.output)")
    #expect(workers[0].wait(for: "its sender's key is not that of worker"), "\(workers[0].output)")
    let finished = run.finish()
    #expect(finished.status == 0, "\(finished.output)")
    for worker in workers { #expect(worker.finish().status == 0) }
    let whole = try cluster.train("whole", hosts: "localhost")
    #expect(whole.status == 0, "\(whole.output)")
    #expect(try cluster.weights("run") == cluster.weights("whole"))
    for audit in try cluster.audits("run") { #expect(audit.status == 0, "\(audit.output)") }
    #expect(try cluster.query("run", "SELECT count(*) FROM generations", as: Int.self) == [1])
    withExtendedLifetime(sockets) {}
  }

  @Test("no secret key is in arguments, environment, logs or the journal, and nobody may look into a worker")
  func secrets() throws {
    let cluster = try LocalCluster()
    let run = try RunningProcess(
      LocalCluster.program("coordinator"), cluster.training("run", hosts: "localhost slots=2"))
    #expect(run.wait(for: "epoch 1/"))
    let secret = try cluster.folder.text("run/keys/coordinator.secret").trimmingCharacters(in: .whitespacesAndNewlines)
    let workers = try cluster.query("run", "SELECT pid FROM members WHERE left_at IS NULL", as: Int.self)
    #expect(workers.count == 2)
    for pid in [Int(run.pid)] + workers {
      for file in ["cmdline", "environ"] {
        let bytes = FileManager.default.contents(atPath: "/proc/\(pid)/\(file)") ?? Data()
        #expect(!String(decoding: bytes, as: UTF8.self).contains(secret))
        // Of a worker's own secret only this can be said: nothing of its length is there.
        #expect(!String(decoding: bytes, as: UTF8.self).contains(try Regex("[0-9a-f]{64}")))
      }
      var status = stat()
      // Of a process that cannot be looked into, root owns even the files that its own user could read.
      #expect(stat("/proc/\(pid)/mem", &status) == 0 && status.st_uid == 0)
      let limits = try String(contentsOfFile: "/proc/\(pid)/limits", encoding: .utf8)
      #expect(limits.contains(try Regex("Max core file size +0 +0")))
    }
    #expect(run.finish().status == 0)
    for name in ["logs/rank-0.log", "logs/rank-1.log"] {
      #expect(!(try cluster.folder.text("run/" + name)).contains(try Regex("[0-9a-f]{64}")))
    }
    let journaled = try Data(contentsOf: URL(fileURLWithPath: cluster.folder.path("run/run.db")))
    #expect(journaled.range(of: Data(secret.utf8)) == nil)
    let keys = try cluster.query("run", "SELECT key FROM worker_keys", as: String.self)
    #expect(Set(keys).count == 2)
  }
}
