import Foundation
import Shared
import TestSupport
import Testing

@testable import Coordinator

@Suite struct LaunchHostsFileTests {
  @Test("hosts become slots with ranks in the order of the file, and lines of one host add up")
  func expansion() throws {
    let text = """
      # the cluster

      localhost slots=2 threads=1 lane_threads=4  # here
      \tme@node-1.example.org slots=1 address=10.0.0.7 data=/clips worker=/opt/worker\r
      [fe80::1] address=[::1]
      localhost
      """
    let slots = try HostsFile(text, origin: "hosts.txt").slots
    #expect(slots.map(\.rank) == [0, 1, 2, 3, 4])
    #expect(slots.map(\.host) == ["localhost", "localhost", "me@node-1.example.org", "fe80::1", "localhost"])
    #expect(slots.map(\.threads) == [1, 1, nil, nil, nil])
    #expect(slots.map(\.laneThreads) == [4, 4, nil, nil, nil])
    #expect(
      slots[2]
        == Slot(
          rank: 2, host: "me@node-1.example.org", threads: nil, address: "10.0.0.7", data: "/clips",
          worker: "/opt/worker"))
    #expect(slots[3].address == "::1")
    #expect(
      slots.hosts == "localhost slots=2 threads=1 lane_threads=4, me@node-1.example.org slots=1, fe80::1 slots=1, "
        + "localhost slots=1")
  }

  @Test(
    "a bad line is named by file and number, with what to do",
    arguments: [
      ("localhost slots=0", "slots=0 must be a whole number from 1 to 1024"),
      ("localhost slots=2.5", "slots=2.5"), ("localhost slots=1025", "slots=1025"),
      ("localhost slots=99999999999999999999", "must be a whole number"), ("localhost threads=-1", "threads=-1"),
      ("localhost lane_threads=65", "lane_threads=65 must be a whole number from 1 to 64"),
      ("localhost slots", "'slots' is not of the form key=value"), ("localhost slots=", "has no value"),
      ("localhost =2", "not of the form"), ("localhost slots=1 slots=2", "given twice"),
      ("slots=2 localhost", "put the host's name before"), ("-oProxyCommand=x", "put the host's name"),
      ("-Fx", "no host name"), ("host;reboot", "no host name"), ("@host", "no host name"), ("hôst", "no host name"),
      ("localhost address=10.0.0.1/8", "is no address"), ("localhost address=-x", "is no address"),
      ("localhost address=10.0.0.1:5577", "without a port"), ("localhost address=[::1]:5577", "without a port"),
      ("localhost lots=8", "unknown key 'lots'; did you mean 'slots'?"),
      ("localhost slots=2 thread=16", "unknown key 'thread'; did you mean 'threads'?"),
      ("localhost lane-threads=2", "unknown key 'lane-threads'; did you mean 'lane_threads'?"),
      ("localhost Slots=2", "unknown key 'Slots'; did you mean 'slots'?"),
      (
        "localhost rack=3",
        "unknown key 'rack': the keys are slots, threads, lane_threads, user, port, address, data, cache, worker"
      ),
      ("localhost slots=4 max_slots=8", "unknown key 'max_slots': slots=N is the number of workers"),
      ("localhost max-slots=8", "slots=N is the number of workers"), ("localhost port=0", "port=0 must be"),
      ("localhost:0", "slots=0 must be a whole number from 1 to 1024"), ("me@host user=you", "user=you is no name"),
      ("host user=-l", "user=-l is no name"),
      ("localhost slots = 2", "'slots' is not of the form key=value, without spaces"),
      ("me@node1:22 slots=2", "'slots' is given twice: keep one (HOST:N is N slots; an ssh port is port=N)"),
      ("node1:x", "no host name"), ("node1:", "no host name"), ("a:b:c", "no host name"), ("1:2:3", "no host name"),
      ("[node1]", "no host name"), ("fe80::1%", "no host name"), ("node1,node2", "write one host a line"),
      ("\u{FEFF}localhost", "'\\u{FEFF}localhost' is no host name"), ("a\u{0}b", "no host name"),
      ("me@you@host", "no host name"), ("ssh://host", "no host name"),
    ])
  func badLine(line: String, expected: String) {
    let error = #expect(throws: LaunchError.self) { try HostsFile("# ok\n\n\(line)\nlocalhost", origin: "dir/hosts") }
    #expect(error?.description.hasPrefix("dir/hosts:3: ") == true)
    #expect(error?.description.contains(expected) == true, "\(error?.description ?? "")")
    #expect(error?.description.contains("\n") == false)
    #expect(error?.status == .badConfiguration)
  }

  @Test("what editors and other launchers write is read: byte-order marks, tabs, any line ending, IPv6 addresses")
  func habits() throws {
    let text =
      "\u{FEFF}node1\tslots=2\t\tthreads=4\r\n\r\n \u{A0}node2 # the second\rfe80::1%eth0\n[2001:db8::7]\nme@[::1]"
    let entries = try HostsFile(text, origin: "hosts.txt").entries
    #expect(entries.map(\.host) == ["node1", "node2", "fe80::1%eth0", "2001:db8::7", "me@::1"])
    #expect(entries[0].slots == 2 && entries[0].threads == 4)
    #expect(entries.map(\.line) == [1, 3, 4, 5, 6])
    #expect(try HostsFile("::1", origin: "hosts.txt").entries.map(\.host) == ["::1"])
  }

  @Test("HOST:N is N slots, and user= and port= are for ssh; the same in a list")
  func otherLaunchers() throws {
    let slots = try HostsFile("node1:2 user=me port=2222\n[fe80::1]:3\nlocalhost:1 port=22", origin: "hosts").slots
    #expect(slots.map(\.host) == ["me@node1", "me@node1", "fe80::1", "fe80::1", "fe80::1", "localhost"])
    #expect(slots.map(\.port) == [2222, 2222, nil, nil, nil, 22])
    #expect(slots.map(\.isHere) == [false, false, false, false, false, false])
    #expect(try HostsFile(list: "localhost:2,node1").slots.map(\.host) == ["localhost", "localhost", "node1"])
    let error = #expect(throws: LaunchError.self) { try HostsFile(list: "a,b;c") }
    #expect(error?.description.hasPrefix("--host a,b;c: 'b;c' is no host name") == true, "\(String(describing: error))")
  }

  @Test("a file that is missing, empty or no text is refused")
  func noHosts() throws {
    #expect(throws: LaunchError.self) { try HostsFile("\n# nothing\n", origin: "hosts") }
    let folder = try TemporaryFolder()
    #expect(throws: LaunchError.self) { try HostsFile(path: folder.path("missing")) }
    try Data([0xff, 0xfe, 0x00]).write(to: URL(fileURLWithPath: folder.path("binary")))
    #expect(throws: LaunchError.self) { try HostsFile(path: folder.path("binary")) }
    try Data("localhost\n".utf8).write(to: URL(fileURLWithPath: folder.path("good")))
    #expect(try HostsFile(path: folder.path("good")).slots.count == 1)
  }

  @Test("local means loopback and this machine's own name, nothing else")
  func local() {
    for host in ["localhost", "127.0.0.1", "127.1.2.3", "::1", "node7", "NODE7", "node7.example.org"] {
      #expect(isLocal(host, ownName: "node7.example.org"), "\(host)")
    }
    for host in ["node8", "node7.other.org", "me@localhost", "10.0.0.1", "node", ""] {
      #expect(!isLocal(host, ownName: "node7.example.org"), "\(host)")
    }
  }
}
