// Words made safe for a shell: what `/bin/sh` reads back is exactly what was given.

/// `word` as one word of a POSIX shell command. It must hold no NUL, which no argument can.
func shellQuoted(_ word: String) -> String {
  precondition(!word.utf8.contains(0), "an argument cannot hold NUL")
  let plain = word.utf8.allSatisfy { byte in
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"): true
    case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "-"), UInt8(ascii: "."): true
    case UInt8(ascii: "/"), UInt8(ascii: ":"), UInt8(ascii: ","), UInt8(ascii: "+"), UInt8(ascii: "@"): true
    default: false
    }
  }
  if plain && !word.isEmpty { return word }
  // Within single quotes everything stands for itself but the quote: close, an escaped quote, open again. By
  // scalars, because a quote with a combining mark behind it is one Character.
  var quoted = "'"
  for scalar in word.unicodeScalars {
    if scalar == "'" { quoted += "'\\''" } else { quoted.unicodeScalars.append(scalar) }
  }
  return quoted + "'"
}

/// The words, quoted, as one command line.
func shellCommand(_ words: [String]) -> String { words.map(shellQuoted).joined(separator: " ") }
