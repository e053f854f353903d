// Lines of tab-separated fields, the text form of the index and of the rejected list.

/// Joins `fields` into one line; tabs, line ends and backslashes inside them become `\t`, `\n`, `\r`, `\\`.
func escapedLine(_ fields: [String]) -> String {
  fields.map { field in
    var escaped = ""
    for scalar in field.unicodeScalars {
      switch scalar {
      case "\\": escaped += #"\\"#
      case "\t": escaped += #"\t"#
      case "\n": escaped += #"\n"#
      case "\r": escaped += #"\r"#
      default: escaped.unicodeScalars.append(scalar)
      }
    }
    return escaped
  }.joined(separator: "\t") + "\n"
}

/// The fields of a line that `escapedLine` wrote, or nil if an escape is none of its own.
func unescapedFields(_ line: Substring) -> [String]? {
  var fields = [""]
  var isEscaped = false
  for scalar in line.unicodeScalars {
    if isEscaped {
      switch scalar {
      case "\\": fields[fields.count - 1] += "\\"
      case "t": fields[fields.count - 1] += "\t"
      case "n": fields[fields.count - 1] += "\n"
      case "r": fields[fields.count - 1] += "\r"
      default: return nil
      }
      isEscaped = false
    } else if scalar == "\\" {
      isEscaped = true
    } else if scalar == "\t" {
      fields.append("")
    } else {
      fields[fields.count - 1].unicodeScalars.append(scalar)
    }
  }
  return isEscaped ? nil : fields
}
