// Training from shards on a server that fails now and then, through a cache that may be too small.
import Foundation
import TestSupport
import Testing

@Suite(.serialized, .timeLimit(.minutes(5))) struct ShardsOverHTTPTests {
  /// Makes WebDataset shards of the demo data's clips.
  private static let pack = """
    import io, json, os, sys, tarfile
    data, out = sys.argv[1:]
    os.makedirs(out)
    for split, shards in (("train", 3), ("validation", 1)):
        clips = sorted(os.path.join(folder, name) for folder, _, names in os.walk(f"{data}/{split}") for name in names)
        for number in range(shards):
            with tarfile.open(f"{out}/{split}-{number:06}.tar", "w") as tar:
                for path in clips[number::shards]:
                    key = os.path.splitext(os.path.basename(path))[0]
                    label = json.dumps({"label": os.path.basename(os.path.dirname(path))}).encode()
                    tar.add(path, f"{key}.mp4")
                    facts = tarfile.TarInfo(f"{key}.json")
                    facts.size = len(label)
                    tar.addfile(facts, io.BytesIO(label))

    """

  private static let lists = "train_list: 'train-{000000..000002}.tar', validation_list: validation-000000.tar"

  /// A cluster whose data are shards in the folder `shards`.
  /// - Parameter data: of the recipe.
  private func cluster(_ data: String, epochs: Int = 6) throws -> LocalCluster {
    let cluster = try LocalCluster()
    try cluster.folder.write(Self.pack, to: "pack.py")
    let made = try cluster.run(
      "/usr/bin/env",
      ["python3", cluster.folder.path("pack.py"), cluster.folder.path("data"), cluster.folder.path("shards")])
    #expect(made.status == 0, "\(made.output)")
    try use(cluster, data, epochs: epochs)
    return cluster
  }

  private func use(_ cluster: LocalCluster, _ data: String, epochs: Int = 6) throws {
    try cluster.folder.write(
      LocalCluster.recipe.replacing("path: data", with: data).replacing("epochs: 12", with: "epochs: \(epochs)"),
      to: "small.yaml")
  }

  /// Bytes of the largest shard, and of all.
  private func sizes(_ cluster: LocalCluster) throws -> (largest: Int, all: Int) {
    let sizes = try bytes(in: cluster.folder.path("shards"))
    return (sizes.max() ?? 0, sizes.reduce(0, +))
  }

  private func bytes(in folder: String) throws -> [Int] {
    try FileManager.default.subpathsOfDirectory(atPath: folder).map { path in
      let facts = try FileManager.default.attributesOfItem(atPath: "\(folder)/\(path)")
      return facts[.type] as? FileAttributeType == .typeRegular ? facts[.size] as? Int ?? 0 : 0
    }
  }

  /// Runs `coordinator` with a cache of its own.
  private func start(_ cluster: LocalCluster, _ arguments: [String], cache: String = "cache") throws -> RunningProcess {
    try RunningProcess(
      "/usr/bin/env",
      ["TAMRING_CACHE=\(cluster.folder.path(cache))", LocalCluster.program("coordinator")] + arguments)
  }

  private func index(_ cluster: LocalCluster, _ run: String) throws -> RunningProcess {
    try start(
      cluster, ["index", "--recipe", cluster.folder.path("small.yaml"), "--run-dir", cluster.folder.path(run)])
  }

  @Test("shards from a server that fails give the same bytes as from disk, also through a cache of one shard")
  func sameBits() throws {
    let cluster = try cluster("path: shards, \(Self.lists)")
    try use(cluster, "path: '\(cluster.folder.path("shards"))', \(Self.lists)")
    let disk = try cluster.train("disk", hosts: "localhost")
    #expect(disk.status == 0, "\(disk.output)")
    let server = try HTTPServer(cluster.folder.path("shards"), ["--fail", "0.2", "--kinds", "503,429,reset,cut"])
    let largest = try sizes(cluster).largest
    for (name, bound) in [("large", 1 << 30), ("small", largest + 1000)] {
      try use(cluster, "path: '\(server.address(""))', cache_bytes: \(bound), \(Self.lists)")
      let run = try start(cluster, cluster.training(name, hosts: "localhost slots=2"), cache: name + "-cache")
      let finished = run.finish()
      #expect(finished.status == 0, "\(finished.output)")
      #expect(try cluster.weights(name) == cluster.weights("disk"))
      for audit in try cluster.audits(name) { #expect(audit.status == 0, "\(audit.output)") }
      #expect(try cluster.query(name, "SELECT count(*) FROM verdicts", as: Int.self) == [0])
      let held = try bytes(in: cluster.folder.path(name + "-cache")).filter { $0 > 500 }
      #expect(!held.isEmpty && held.reduce(0, +) <= bound)
    }
    let log = server.stop()
    #expect(log.contains { $0.contains("failure") } && log.contains { $0.contains("cut") }, "\(log)")
  }

  @Test("a download whose process is killed is gone on with, and two processes that want a shard download it once")
  func killedAndShared() throws {
    let cluster = try cluster("path: shards")
    let server = try HTTPServer(cluster.folder.path("shards"), ["--hold-after", "20000"])
    try use(cluster, "path: '\(server.address(""))', \(Self.lists)")
    let killed = try index(cluster, "killed")
    // What has arrived lies in the cache, and is not taken for a shard.
    let cache = cluster.folder.path("cache")
    let hasArrived = try killed.wait {
      try FileManager.default.fileExists(atPath: cache) && bytes(in: cache).max() ?? 0 >= 20_000
    }
    try #require(hasArrived, "\(killed.finish().output)")
    #expect(server.wait(for: " held"))
    killed.signal(SIGKILL)
    killed.wait()
    let both = try [index(cluster, "a"), index(cluster, "b")]
    for process in both {
      let finished = process.finish()
      #expect(finished.status == 0 && finished.output.contains("train: 47 clips, 0 left out"), "\(finished.output)")
    }
    let log = server.stop()
    #expect(
      log.contains("GET /train-000000.tar bytes=20000-\(try size(cluster, "train-000000.tar") - 1) 206"), "\(log)")
    let whole = log.filter { $0.contains(" - 200") }
    #expect(Set(whole).count == whole.count && whole.count == 4, "\(log)")
  }

  private func size(_ cluster: LocalCluster, _ name: String) throws -> Int {
    try Data(contentsOf: URL(fileURLWithPath: cluster.folder.path("shards/\(name)"))).count
  }

  @Test("while the server is away training pauses, and goes on by itself to the same bytes")
  func awayAndBack() throws {
    let cluster = try cluster("path: shards", epochs: 12)
    try use(cluster, "path: '\(cluster.folder.path("shards"))', \(Self.lists)", epochs: 12)
    let disk = try cluster.train("disk", hosts: "localhost slots=2")
    #expect(disk.status == 0, "\(disk.output)")
    let server = try HTTPServer(cluster.folder.path("shards"))
    let largest = try sizes(cluster).largest
    try use(
      cluster, "path: '\(server.address(""))', cache_bytes: \(largest + 1000), \(Self.lists)", epochs: 12)
    // Held between two steps, so that no training is over before its server is.
    let held = try start(cluster, cluster.training("run", hosts: "localhost slots=2", ["--steps", "7"])).finish()
    #expect(held.status == 0, "\(held.output)")
    _ = server.stop()
    // What the cache has goes on being read; it may be every clip that is probed.
    for name in try FileManager.default.contentsOfDirectory(atPath: cluster.folder.path("cache")) {
      try FileManager.default.removeItem(atPath: cluster.folder.path("cache/\(name)"))
    }
    let run = try start(cluster, cluster.training("run", hosts: "localhost slots=2"))
    #expect(run.wait(for: "paused before step "), "\(run.output)")
    let again = try HTTPServer(cluster.folder.path("shards"), ["--port", "\(server.port)"])
    #expect(run.wait(for: "training goes on"), "\(run.output)")
    let finished = run.finish()
    #expect(finished.status == 0, "\(finished.output)")
    #expect(try cluster.weights("run") == cluster.weights("disk"))
    #expect(try cluster.query("run", "SELECT count(*) FROM verdicts", as: Int.self) == [0])
    _ = again.stop()
  }

  @Test("a shard that is replaced on the server is noticed: its clips have changed since they were indexed")
  func replaced() throws {
    let cluster = try cluster("path: shards", epochs: 4000)
    let server = try HTTPServer(cluster.folder.path("shards"))
    // Nothing stays in the cache but the smallest shard.
    let largest = try sizes(cluster).largest
    try use(
      cluster, "path: '\(server.address(""))', cache_bytes: \(largest), \(Self.lists)", epochs: 4000)
    let run = try start(cluster, cluster.training("run", hosts: "localhost"))
    #expect(run.wait(for: "epoch 2/"), "\(run.output)")
    for number in 0...2 {
      let file = URL(fileURLWithPath: cluster.folder.path("shards/train-00000\(number).tar"))
      var data = try Data(contentsOf: file)
      // The first byte of each clip's pictures, and no header of the archive.
      for place in stride(from: 512 + 200, to: data.count, by: 512) where data[place] != 0 { data[place] ^= 1 }
      try data.write(to: file)
    }
    let finished = run.finish()
    #expect(finished.status == 65, "\(finished.output)")
    #expect(finished.output.contains("changed since it was indexed"), "\(finished.output)")
  }

  @Test("a shard that the server does not have is refused by its address and status, without the password")
  func missing() throws {
    let cluster = try cluster("path: shards")
    let server = try HTTPServer(cluster.folder.path("shards"))
    let address = server.address("").replacing("http://", with: "http://me:secret@")
    try use(cluster, "path: '\(address)', train_list: 'train-{000000..000003}.tar', validation_list: ''")
    let finished = try index(cluster, "run").finish()
    #expect(finished.status == 74, "\(finished.output)")
    #expect(
      finished.output.contains(
        "\(server.address("train-000003.tar")): cannot be read (the server answers 404 Not Found); check the address"),
      "\(finished.output)")
    #expect(!finished.output.contains("secret"))
  }

  @Test("a list of names and addresses, and a pack, are read from the server")
  func listsAndPacks() throws {
    let cluster = try cluster("path: shards")
    let server = try HTTPServer(cluster.folder.path("shards"))
    try cluster.folder.write(
      "train-000000.tar\n\(server.address("train-000001.tar"))\nmissing.tar\n", to: "shards/list.txt")
    try use(cluster, "train_list: '\(server.address("list.txt"))', validation_list: ''")
    let listed = try index(cluster, "listed").finish()
    #expect(listed.status == 0 && listed.output.contains("train: 32 clips, 1 left out"), "\(listed.output)")
    #expect(listed.output.contains("the server answers 404"), "\(listed.output)")
    let shards = ["train-000000.tar", "validation-000000.tar"].map { name in
      "{\"name\": \"\(name)\", \"bytes\": \((try? size(cluster, name)) ?? 0), \"list\": \"\(name.prefix { $0 != "-" })\"}"
    }
    try cluster.folder.write(
      "{\"version\": 1, \"shards\": [\(shards.joined(separator: ", "))]}", to: "shards/pack.json")
    try use(cluster, "path: '\(server.address(""))'")
    let packed = try index(cluster, "packed").finish()
    #expect(
      packed.status == 0 && packed.output.contains("train: 16 clips, 0 left out")
        && packed.output.contains("validation: 9 clips, 0 left out"), "\(packed.output)")
  }
}
