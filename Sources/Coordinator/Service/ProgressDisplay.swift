// What a person sees while the coordinator works: one living line on a terminal, plain lines elsewhere.
import CoordinatorCore
import Foundation
import Shared

/// Writes progress to standard output.
final class ProgressDisplay {
  private let isTerminal = isatty(STDOUT_FILENO) != 0
  private var livingLength = 0
  private var lastLiving: Duration = .seconds(-1000)
  private var lastPlain: Duration = .seconds(-1000)

  /// A line that stays.
  func line(_ text: String) {
    clear()
    write(text + "\n")
  }

  /// A line that the next one replaces; elsewhere than on a terminal, at most one in ten seconds, or where it `matters`.
  func living(_ text: String, at now: Duration, matters: Bool = false) {
    if isTerminal {
      guard matters || now - lastLiving > .milliseconds(100) else { return }
      lastLiving = now
      let width = terminalWidth()
      let shown = String(text.prefix(max(20, width - 1)))
      write("\r" + shown + String(repeating: " ", count: max(0, livingLength - shown.count)))
      livingLength = shown.count
    } else if matters || now - lastPlain >= .seconds(10) {
      lastPlain = now
      write(text + "\n")
    }
  }

  /// Lets the living line stay, and begins a new one.
  func keep() {
    guard livingLength > 0 else { return }
    write("\n")
    livingLength = 0
  }

  func clear() {
    guard livingLength > 0 else { return }
    write("\r" + String(repeating: " ", count: livingLength) + "\r")
    livingLength = 0
  }

  /// Nobody may be listening any more, or the disk may be full: training goes on.
  private func write(_ text: String) { try? FileHandle.standardOutput.write(contentsOf: Data(text.utf8)) }

  private func terminalWidth() -> Int {
    var size = winsize()
    guard unsafe ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return 100 }
    return Int(size.ws_col)
  }
}
