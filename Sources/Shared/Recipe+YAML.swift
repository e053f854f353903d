// Reading a recipe from YAML, each mistake named with its line, and writing the resolved one.
import Foundation
import Yams

extension Recipe {
  /// Reads and checks a recipe file. Relative data paths are relative to the file's folder.
  /// - Throws: `SharedError(.badConfiguration)`, all mistakes in one line; `.ioError` if the file cannot be read.
  public static func read(path: String) throws -> Recipe {
    guard let bytes = FileManager.default.contents(atPath: path) else {
      throw SharedError(.ioError, "\(path): cannot be read; check that the recipe exists and is readable")
    }
    guard let text = String(bytes: bytes, encoding: .utf8) else {
      throw SharedError(.badConfiguration, "\(path): is not UTF-8 text; a recipe is a YAML file")
    }
    var recipe = try Recipe(yaml: text, origin: path)
    if !recipe.data.path.hasPrefix("/") {
      let folder = URL(fileURLWithPath: path).deletingLastPathComponent()
      recipe.data.path = URL(fileURLWithPath: recipe.data.path, relativeTo: folder).standardizedFileURL.path
    }
    return recipe
  }

  /// Reads and checks a recipe.
  /// - Parameter origin: what to call the text in an error.
  /// - Throws: `SharedError(.badConfiguration)`, all mistakes in one line, each with its line or path.
  public init(yaml text: String, origin: String) throws {
    self.init()
    let root: Node?
    do { root = try Yams.compose(yaml: text) } catch {
      let what = "\(error)".split(whereSeparator: \.isNewline).joined(separator: " ")
      throw SharedError(.badConfiguration, "\(origin): not valid YAML: \(what)")
    }
    var mistakes: [String] = []
    let fields = Dictionary(uniqueKeysWithValues: Recipe.fields().map { ($0.path, $0) })
    let sections = Set(fields.keys.compactMap { $0.contains(".") ? String($0.prefix { $0 != "." }) : nil })
    func mistake(_ node: Node, _ what: String) {
      mistakes.append(node.mark.map { "line \($0.line): \(what)" } ?? what)
    }
    func read(_ mapping: Node.Mapping, _ prefix: String) {
      for (key, value) in mapping {
        let path = prefix + (key.string ?? "?")
        if let field = fields[path] {
          guard let text = scalar(value) else {
            mistake(key, "'\(path)' holds a section, expected a value")
            continue
          }
          if let wanted = field.read(&self, text) { mistake(key, "'\(path)' is '\(text)', expected \(wanted)") }
        } else if prefix.isEmpty, sections.contains(path) {
          if let section = value.mapping {
            read(section, path + ".")
          } else if value.string != "" {
            mistake(key, "'\(path)' is a section, expected 'key: value' lines below it")
          }
        } else {
          let near = fields.keys.sorted().first { $0.hasSuffix("." + (key.string ?? "?")) }
          mistake(key, "unknown key '\(path)'" + (near.map { "; did you mean '\($0)'?" } ?? ""))
        }
      }
    }
    if let root {
      guard let mapping = root.mapping else {
        throw SharedError(.badConfiguration, "\(origin): a recipe is a mapping of sections, this is something else")
      }
      read(mapping, "")
    }
    mistakes += contradictions()
    guard mistakes.isEmpty else {
      throw SharedError(.badConfiguration, "\(origin): \(mistakes.joined(separator: "; "))")
    }
  }

  /// The recipe as YAML, every key written out: what `recipe.yaml` of a run directory holds.
  public func yaml() -> String {
    var lines: [String] = []
    var section = ""
    for field in Recipe.fields() {
      let parts = field.path.split(separator: ".").map(String.init)
      if parts.count == 2, parts[0] != section {
        section = parts[0]
        lines.append("\(section):")
      }
      lines.append((parts.count == 2 ? "  " : "") + "\(parts[parts.count - 1]): \(field.write(self))")
    }
    return lines.joined(separator: "\n") + "\n"
  }

  /// A scalar, or a list of scalars joined by commas.
  private func scalar(_ node: Node) -> String? {
    if let sequence = node.sequence {
      let parts = sequence.compactMap(\.string)
      return parts.count == sequence.count ? parts.joined(separator: ",") : nil
    }
    return node.string
  }

  /// What single keys cannot show.
  private func contradictions() -> [String] {
    var found: [String] = []
    if faults.evictSeconds < 2 * faults.heartbeatSeconds {
      found.append("'faults.evict_seconds' must be at least twice 'faults.heartbeat_seconds'")
    }
    if schedule.warmupEpochs > Double(schedule.epochs) {
      found.append("'schedule.warmup_epochs' is more than 'schedule.epochs'")
    }
    if schedule.kind == .multiStep, schedule.milestones.isEmpty {
      found.append("'schedule.milestones' is empty, but 'schedule.kind' is multi-step")
    }
    if precision == .bf16, engine != .onednn {
      found.append("'precision: bf16' needs 'engine: onednn', which alone multiplies bf16")
    }
    if precision != .bf16, emulateBF16 { found.append("'emulate_bf16: true' is for 'precision: bf16' only") }
    if model.width % model.alpha != 0 { found.append("'model.width' must be a multiple of 'model.alpha'") }
    return found
  }
}
