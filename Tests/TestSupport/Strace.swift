// Runs a program under strace: to see its system calls in order, and to let a chosen one fail or be the last.
import Foundation

/// A system call between a program's outputs "begin" and "end".
public struct SystemCall: Sendable, CustomStringConvertible {
  public let name: String
  /// Which of the thread's calls of this name it is since the program's start, counted from 1.
  public let occurrence: Int
  /// As strace writes it, with the paths of descriptors.
  public let text: String

  public var description: String { "\(name) no. \(occurrence), \(text)" }

  /// The paths in it, those of descriptors included.
  public var paths: [String] { text.matches(of: /[<"](\/[^">]*)[>"]/).map { String($0.output.1) } }
}

/// One run with one fault.
public struct Injection: Sendable, CustomStringConvertible {
  public let call: SystemCall
  public let fault: Strace.Fault

  public init(call: SystemCall, fault: Strace.Fault) {
    self.call = call
    self.fault = fault
  }

  public var description: String { "\(fault) at \(call)" }
}

public enum Strace {
  /// What happens to a system call.
  public enum Fault: Hashable, Sendable, CustomStringConvertible {
    /// It does nothing and fails, such as "EIO".
    case error(String)
    /// It does nothing and says that it returned this.
    case lie(Int)
    /// The process is killed before it does anything.
    case kill

    public var description: String {
      switch self {
      case .error(let name): "error=\(name)"
      case .lie(let value): "retval=\(value)"
      case .kill: "signal=KILL"
      }
    }
  }

  public static let program = "/usr/bin/strace"
  /// strace is there, and this process may trace others: some containers forbid it.
  public static let isUsable = {
    (try? RunningProcess(program, ["-o", "/dev/null", "/bin/true"]).finish().status) == 0
  }()

  /// The calls for files between "begin" and "end", of the thread that says these.
  /// - Parameter log: where strace may write.
  public static func calls(of program: String, _ arguments: [String], log: String) throws -> (
    calls: [SystemCall], finished: Finished
  ) {
    let finished = try RunningProcess(
      Self.program, ["-f", "-y", "-o", log, "-e", "trace=file,desc", program] + arguments
    ).finish()
    var counts: [String: Int] = [:]
    var calls: [SystemCall] = []
    var inside: Substring?
    for line in try String(contentsOfFile: log, encoding: .utf8).split(separator: "\n") {
      guard let match = line.wholeMatch(of: /(\d+) +([a-z0-9_]+)\((.*)/) else { continue }
      let (_, thread, name, rest) = match.output
      // Counted by thread and name, as strace does.
      counts["\(thread) \(name)", default: 0] += 1
      if name == "write", rest.contains(/^1.*"(begin|end)\\n"/) {
        inside = rest.contains("begin") ? thread : nil
      } else if inside == thread, name != "mmap", !(name == "write" && rest.contains(/^[12]\D/)) {
        calls.append(
          SystemCall(
            name: String(name), occurrence: counts["\(thread) \(name)"] ?? 0, text: "\(name)(\(rest)"))
      }
    }
    return (calls, finished)
  }

  /// Runs the program with one of its calls disturbed.
  /// - Returns: its end, and whether the fault took place.
  public static func run(
    _ program: String, _ arguments: [String], _ fault: Fault, at call: SystemCall, log: String
  ) throws -> (finished: Finished, wasDisturbed: Bool) {
    let finished = try RunningProcess(
      Self.program,
      [
        "-f", "-o", log, "-e", "trace=\(call.name)", "-e", "inject=\(call.name):\(fault):when=\(call.occurrence)",
        program,
      ] + arguments
    ).finish()
    let trace = try String(contentsOfFile: log, encoding: .utf8)
    return (finished, trace.contains(fault == .kill ? "killed by SIGKILL" : "(INJECTED)"))
  }
}

extension RunningProcess {
  /// The path of a program that was built together with the tests.
  public static func built(_ name: String) -> String? {
    let own = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
    let places = [CommandLine.arguments[0], own].map { URL(fileURLWithPath: $0).deletingLastPathComponent() }
    return places.map { $0.appendingPathComponent(name).path }.first {
      FileManager.default.isExecutableFile(atPath: $0)
    }
  }
}

/// Calls `body` for each element on as many threads as there are processors.
/// - Returns: what it found wrong, by element.
public func problems<Element: Sendable>(
  _ elements: [Element], _ body: @Sendable (Element) throws -> String?
) -> [String] {
  nonisolated(unsafe) var found = [String?](repeating: nil, count: elements.count)
  found.withUnsafeMutableBufferPointer { buffer in
    nonisolated(unsafe) let slots = buffer
    DispatchQueue.concurrentPerform(iterations: elements.count) { index in
      do { slots[index] = try body(elements[index]).map { "\(elements[index]): \($0)" } } catch {
        slots[index] = "\(elements[index]): \(error)"
      }
    }
  }
  return found.compactMap { $0 }
}
