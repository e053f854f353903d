// A real HTTP server for tests, which fails now and then: http_server.py beside this file.
import Foundation

/// A server of a folder on a free port of this machine. It ends when it is forgotten.
public final class HTTPServer {
  private let process: RunningProcess
  public let port: Int
  private let scheme: String

  /// - Parameter options: of `http_server.py`.
  public init(_ folder: String, _ options: [String] = []) throws {
    let script = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("http_server.py")
    process = try RunningProcess("/usr/bin/env", ["python3", script.path, folder] + options)
    guard process.wait(for: "\n"), let port = Int(process.output.prefix { $0 != "\n" }.dropFirst("port ".count)) else {
      throw CocoaError(.fileReadUnknown)
    }
    self.port = port
    scheme = options.contains("--certificate") ? "https" : "http"
  }

  /// The address of a file.
  public func address(_ name: String) -> String { "\(scheme)://127.0.0.1:\(port)/\(name)" }

  /// Waits until the server has said `text`.
  public func wait(for text: String) -> Bool { process.wait(for: text) }

  /// Ends the server.
  /// - Returns: a line for each request that it was asked: `GET PATH RANGE STATUS NOTE`.
  public func stop() -> [String] {
    process.signal(SIGKILL)
    return process.finish().output.split(separator: "\n").dropFirst().map(String.init)
  }
}
