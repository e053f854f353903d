import Foundation
import TestSupport
import Testing

/// A file that changes while a run is held between two steps: what follows is the same for any number of workers.
@Suite(.serialized, .timeLimit(.minutes(5))) struct ChangedFileTests {
  enum Change: CaseIterable { case deleted, truncated, replaced }

  /// The step before which both runs are held, the step whose clip changes, and the clip.
  private struct Held {
    let cluster: LocalCluster
    let before: Int
    let step: Int
    let clip: Int
    let path: String

    /// - Parameter runs: names of runs, and their hosts.
    init(_ runs: KeyValuePairs<String, String>) throws {
      cluster = try LocalCluster()
      try cluster.folder.write(LocalCluster.recipe.replacing("epochs: 12", with: "epochs: 4"), to: "small.yaml")
      let whole = try cluster.train("whole", hosts: "localhost")
      #expect(whole.status == 0, "\(whole.output)")
      (before, step) = (7, 8)
      let row = try #require(
        try cluster.query(
          "whole",
          "SELECT clip || ' ' || path FROM consumed JOIN clips USING (clip) WHERE step = \(step) ORDER BY lane, clip",
          as: String.self
        ).first)
      let parts = row.split(separator: " ", maxSplits: 1)
      clip = try #require(Int(parts[0]))
      path = cluster.folder.path("data/train/\(parts[1])")
      for (name, hosts) in runs {
        let held = try cluster.train(name, hosts: hosts, ["--steps", "\(before)"])
        #expect(held.status == 0, "\(held.output)")
      }
    }

    /// Lets a run go on to its end.
    func goOn(_ name: String, _ hosts: String) throws -> Finished {
      let finished = try cluster.train(name, hosts: hosts)
      #expect(finished.status == 0, "\(finished.output)")
      for audit in try cluster.audits(name) { #expect(audit.status == 0, "\(audit.output)") }
      return finished
    }

    func verdicts(_ name: String) throws -> [String] {
      try cluster.query(name, "SELECT step || ' ' || clip FROM verdicts ORDER BY step, clip", as: String.self)
    }
  }

  @Test(
    "a clip that is gone, cut or another one is left out of the same steps by 1 and 3 workers",
    arguments: Change.allCases)
  func changed(change: Change) throws {
    let held = try Held(["one": "localhost", "three": "localhost slots=3"])
    let bytes = try Data(contentsOf: URL(fileURLWithPath: held.path))
    switch change {
    case .deleted: try FileManager.default.removeItem(atPath: held.path)
    case .truncated: try bytes.dropLast(bytes.count / 3).write(to: URL(fileURLWithPath: held.path))
    case .replaced:
      // A good video, of another clip.
      let others = try held.cluster.query(
        "whole", "SELECT path FROM clips WHERE clip != \(held.clip) LIMIT 1", as: String.self)
      let other = try Data(contentsOf: URL(fileURLWithPath: held.cluster.folder.path("data/train/\(others[0])")))
      try other.write(to: URL(fileURLWithPath: held.path), options: .atomic)
    }
    for (name, hosts) in [("one", "localhost"), ("three", "localhost slots=3")] {
      let finished = try held.goOn(name, hosts)
      #expect(
        finished.output.contains("step \(held.step) goes without a clip that nobody can decode"), "\(finished.output)")
    }
    #expect(try held.cluster.weights("one") == held.cluster.weights("three"))
    #expect(try held.cluster.weights("one") != held.cluster.weights("whole"))
    let verdicts = try held.verdicts("one")
    // Once in this epoch, and in each of the two that follow.
    #expect(verdicts.count == 3 && verdicts[0] == "\(held.step) \(held.clip)", "\(verdicts)")
    #expect(try held.verdicts("three") == verdicts)
  }

  @Test(
    "a file that is slow to read is waited for, and changes nothing, with 1 and 3 workers",
    .enabled(if: Strace.isUsable, "this machine does not let strace trace"))
  func slow() throws {
    let held = try Held(["one": "localhost", "three": "localhost slots=3"])
    let log = held.cluster.folder.path("reads")
    try held.cluster.folder.write(
      """
      #!/bin/sh
      exec \(Strace.program) -f -A -o '\(log)' -P '\(held.path)' -e trace=pread64 \
      -e inject=pread64:delay_enter=150000 '\(LocalCluster.program("worker"))' "$@"

      """, to: "slow-worker", permissions: 0o700)
    for (name, hosts) in [("one", "localhost"), ("three", "localhost slots=3")] {
      _ = try held.goOn(name, "\(hosts) worker=\(held.cluster.folder.path("slow-worker"))")
      #expect(try held.cluster.weights(name) == held.cluster.weights("whole"))
      #expect(try held.verdicts(name) == [])
    }
    #expect(try held.cluster.folder.text("reads").contains("(DELAYED)"))
  }
}
