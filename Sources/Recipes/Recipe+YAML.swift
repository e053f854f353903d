// Reads a recipe from YAML, naming each mistake with its line, and writes a resolved recipe.
import Foundation
import Shared
import Yams

/// A recipe that was read from a file.
public struct RecipeFile: Sendable {
  public var recipe: Recipe
  /// The keys in the file, each with its line; all others have the values of the base.
  public private(set) var lines: [String: Int] = [:]

  /// Reads and checks a recipe file. Relative paths of the data and of the initial model are relative to
  /// the file's folder.
  /// - Parameters:
  ///   - base: the values of keys that the file does not name.
  ///   - known: for keys that name an entry of a registry, the entries.
  ///   - others: mistakes that only other modules can find.
  /// - Throws: `SharedError(.badConfiguration)`, all mistakes in one line; `.ioError` if the file cannot be read.
  public init(
    path: String, over base: Recipe = Recipe(), known: [String: [String]] = [:],
    others: (Recipe) -> [String] = { _ in [] }
  ) throws {
    guard let bytes = FileManager.default.contents(atPath: path) else {
      throw SharedError(.ioError, "\(path): cannot be read; check that the recipe exists and is readable")
    }
    guard let text = String(bytes: bytes, encoding: .utf8) else {
      throw SharedError(.badConfiguration, "\(path): is not UTF-8 text; a recipe is a YAML file")
    }
    try self.init(yaml: text, origin: path, over: base, known: known, others: others)
    let folder = URL(fileURLWithPath: path).deletingLastPathComponent()
    func absolute(_ path: String) -> String { URL(fileURLWithPath: path, relativeTo: folder).standardizedFileURL.path }
    if !recipe.data.path.hasPrefix("/"), !isWebAddress(recipe.data.path) {
      recipe.data.path = absolute(recipe.data.path)
    }
    if !recipe.initial.path.isEmpty, !recipe.initial.path.hasPrefix("/") {
      recipe.initial.path = absolute(recipe.initial.path)
    }
  }

  /// Reads and checks a recipe.
  /// - Parameters:
  ///   - origin: the text's name in errors.
  ///   - base: the values of keys that the text does not name.
  ///   - known: for keys that name an entry of a registry, the entries.
  ///   - others: mistakes that only other modules can find.
  /// - Throws: `SharedError(.badConfiguration)`, all mistakes in one line, each with its line or path.
  public init(
    yaml text: String, origin: String, over base: Recipe = Recipe(), known: [String: [String]] = [:],
    others: (Recipe) -> [String] = { _ in [] }
  ) throws {
    recipe = base
    let root: Node?
    do { root = try Yams.compose(yaml: text) } catch {
      let what = "\(error)".split(whereSeparator: \.isNewline).joined(separator: " ")
      throw SharedError(.badConfiguration, "\(origin): not valid YAML: \(what)")
    }
    var mistakes: [String] = []
    if let root {
      guard let mapping = root.mapping else {
        throw SharedError(.badConfiguration, "\(origin): a recipe is a mapping of sections, this is something else")
      }
      mistakes = read(mapping, known)
    }
    mistakes += recipe.contradictions() + others(recipe)
    guard mistakes.isEmpty else {
      throw SharedError(.badConfiguration, "\(origin): \(mistakes.joined(separator: "; "))")
    }
  }

  private mutating func read(_ root: Node.Mapping, _ known: [String: [String]]) -> [String] {
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
          lines[path] = key.mark?.line ?? 0
          if let wanted = field.read(&recipe, text) {
            mistake(key, "'\(path)' is '\(text)', expected \(wanted)")
          } else if let names = known[path], !names.contains(text) {
            mistake(key, "'\(path)' is '\(text)', expected one of \(names.joined(separator: ", "))")
          }
        } else if path == Recipe.revisionsKey {
          let texts = value.sequence.map { $0.map { $0.string ?? "?" } } ?? []
          recipe.revisions = texts.compactMap { RecipeRevision(text: $0) }
          if recipe.revisions.count != texts.count || (try? recipe.revised(by: recipe.revisions)) == nil {
            mistake(key, "'\(path)' is written by Tamring alone, and was altered")
          }
        } else if prefix.isEmpty, sections.contains(path) {
          if let section = value.mapping {
            read(section, path + ".")
          } else if value.string != "" {
            mistake(key, "'\(path)' is a section, expected 'key: value' lines below it")
          }
        } else {
          mistake(
            key,
            "unknown key '\(path)'"
              + (near(path, among: fields.keys.sorted() + sections.sorted()).map { "; did you mean '\($0)'?" } ?? ""))
        }
      }
    }
    read(root, "")
    return mistakes
  }

  /// The key that an unknown one was meant to be: of the same name in another section, or one of nearly that name.
  private func near(_ path: String, among known: [String]) -> String? {
    func name(_ path: String) -> String { String(path.split(separator: ".").last ?? "") }
    if let same = known.first(where: { name($0) == name(path) }) { return same }
    let section = path.dropLast(name(path).count)
    let siblings = known.filter { $0.dropLast(name($0).count) == section }
    func like(_ keys: [String]) -> String? {
      nearest(to: name(path), of: keys.map(name)).flatMap { meant in keys.first { name($0) == meant } }
    }
    return like(siblings) ?? like(known)
  }

  /// A scalar, or a list of scalars joined by commas.
  private func scalar(_ node: Node) -> String? {
    if let sequence = node.sequence {
      let parts = sequence.compactMap(\.string)
      return parts.count == sequence.count ? parts.joined(separator: ",") : nil
    }
    return node.string
  }
}

extension Recipe {
  /// Reads and checks a recipe file, as `RecipeFile` does.
  public static func read(path: String) throws -> Recipe { try RecipeFile(path: path).recipe }

  /// Reads and checks a recipe, as `RecipeFile` does.
  public init(yaml text: String, origin: String) throws { self = try RecipeFile(yaml: text, origin: origin).recipe }

  /// Reads the recipe of a run directory. If it lacks a key, the run began before that key existed, so the key gets the
  /// value that it was introduced with.
  public init(ofRun path: String) throws {
    let introduced = try Recipe(yaml: Recipe.document(Recipe.fields().map { ($0.path, $0.introduced) }), origin: path)
    self = try RecipeFile(path: path, over: introduced).recipe
  }

  /// The recipe as YAML with all keys: the contents of `recipe.yaml` in a run directory.
  public func yaml() -> String {
    let text = Recipe.document(Recipe.fields().map { ($0.path, $0.write(self)) })
    return revisions.isEmpty
      ? text : text + "\(Recipe.revisionsKey):\n" + revisions.map { "  - \($0.text)\n" }.joined()
  }

  /// The keys that decide what the network computes for a video, as YAML, with their values at the beginning of the
  /// run.
  public var evaluationYAML: String {
    let values = valuesAtTheBeginning
    let data: Set = ["data.sampling", "data.dense_stride", "data.image_names", "data.evaluation_scale_up"]
    let paths = Recipe.fields().map(\.path).filter {
      $0.hasPrefix("model.") && $0 != "model.partial_bn" || data.contains($0)
        // Files of softmax models stay as they were before there were others.
        || $0 == "loss.kind" && loss.kind != .softmax
    }
    return Recipe.document(paths.map { ($0, values[$0] ?? "") })
  }

  /// A YAML document of keys and values. The keys of a section must be adjacent.
  static func document(_ values: [(path: String, value: String)]) -> String {
    var lines: [String] = []
    var section = ""
    for (path, value) in values {
      let parts = path.split(separator: ".").map(String.init)
      if parts.count == 2, parts[0] != section {
        section = parts[0]
        lines.append("\(section):")
      }
      lines.append((parts.count == 2 ? "  " : "") + "\(parts[parts.count - 1]): \(value)")
    }
    return lines.joined(separator: "\n") + "\n"
  }

  static let revisionsKey = "revisions"

  /// Contradictions between keys.
  func contradictions() -> [String] {
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
    if schedule.plateauOn == .validation, schedule.kind != .plateau {
      found.append("'schedule.plateau_on: validation' is for 'schedule.kind: plateau' only")
    }
    if validation.everyEpochs == 0, schedule.followsValidation || validation.stopAfter > 0 {
      let key = schedule.followsValidation ? "schedule.plateau_on: validation" : "validation.stop_after"
      found.append("'\(key)' needs 'validation.every_epochs' of at least 1")
    }
    if precision == .bf16, engine != .onednn {
      found.append("'precision: bf16' needs 'engine: onednn', which alone multiplies bf16")
    }
    if precision != .bf16, emulateBF16 { found.append("'emulate_bf16: true' is for 'precision: bf16' only") }
    if model.groups % data.framesPerGroup != 0 {
      found.append("'data.frames_per_group' must divide 'model.groups' (\(model.groups))")
    }
    if data.mixup + data.cutmix > 0, batch.clipsPerLane < 2 {
      found.append("'data.mixup' and 'data.cutmix' mix clips of a lane, but 'batch.clips_per_lane' is 1")
    }
    if loss.kind == .binary {
      if data.mixup + data.cutmix > 0 {
        found.append("'data.mixup' and 'data.cutmix' mix clips of one class each, and not with 'loss.kind: binary'")
      }
      if data.balanced {
        found.append("'data.balanced' draws clips by their one class, and not with 'loss.kind: binary'")
      }
      if model.classes > LossRecipe.mostBinaryClasses {
        found.append(
          "'model.classes' is \(model.classes), expected at most \(LossRecipe.mostBinaryClasses) with 'loss.kind: binary'"
        )
      }
    }
    if case .list(let weights) = loss.classWeights, weights.count != model.classes {
      found.append("'loss.class_weights' has \(weights.count) numbers for \(model.classes) classes ('model.classes')")
    }
    if initial.path.isEmpty, !initial.sha256.isEmpty { found.append("'init_sha256' is given without 'init'") }
    return found + model.contradictions + multigridMistakes
  }
}
