// What a person sees while the coordinator works: on a terminal, a line that is updated in place; elsewhere, plain
// lines.
import CoordinatorCore
import Foundation
import Shared

/// Writes progress to standard output.
final class ProgressDisplay {
  private let isTerminal = isatty(STDOUT_FILENO) != 0
  private var shownLength = 0
  private var lastShown: Duration = .seconds(-1000)
  private var lastPlain: Duration = .seconds(-1000)

  /// A line that stays.
  func line(_ text: String) {
    clear()
    write(text + "\n")
  }

  /// A line that the next one replaces. Elsewhere than on a terminal, at most one in ten seconds, unless it `matters`.
  func progress(_ text: String, at now: Duration, matters: Bool = false) {
    if isTerminal {
      guard matters || now - lastShown > .milliseconds(100) else { return }
      lastShown = now
      let width = terminalWidth()
      let shown = String(text.prefix(max(20, width - 1)))
      write("\r" + shown + String(repeating: " ", count: max(0, shownLength - shown.count)))
      shownLength = shown.count
    } else if matters || now - lastPlain >= .seconds(10) {
      lastPlain = now
      write(text + "\n")
    }
  }

  /// Lets the progress line stay, and begins a new one.
  func keepProgress() {
    guard shownLength > 0 else { return }
    write("\n")
    shownLength = 0
  }

  func clear() {
    guard shownLength > 0 else { return }
    write("\r" + String(repeating: " ", count: shownLength) + "\r")
    shownLength = 0
  }

  /// Nobody may be listening any more, or the disk may be full: training goes on.
  private func write(_ text: String) { try? FileHandle.standardOutput.write(contentsOf: Data(text.utf8)) }

  private func terminalWidth() -> Int {
    var size = winsize()
    guard unsafe ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return 100 }
    return Int(size.ws_col)
  }
}
