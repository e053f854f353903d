// The weights that training starts from: which tensors of a file a network takes.
import BLVNet
import Foundation
import Recipes
import Shared

/// A model file, matched with a network by the names and the shapes of its tensors.
///
/// A tensor of the network that the file lacks, or has in another shape, such as the classifier of another number of
/// classes, keeps its initial values, unless it is frozen. Quantities of the optimizer always start anew.
public struct InitialModel: Sendable {
  /// Names that the network takes from the file; of those that it does not, why; names that begin anew.
  public let taken: [String]
  public let skipped: [(name: String, reason: String)]
  public let missing: [String]
  /// How the file's network differs from this one, in the recipe's words; nil where it does not, or the file does not
  /// say.
  public let difference: String?

  private let file: SafeTensors
  private let layout: StateLayout
  /// The names in the file, by the network's.
  private let sources: [String: String]

  /// - Parameter origin: the file's name in errors.
  /// - Throws: `SharedError` if nothing matches, the network is of another width, the file lacks what is frozen, or a
  ///   number is none that a network can have.
  public init(_ file: SafeTensors, for network: Network, origin: String) throws {
    self.file = file
    layout = network.layout
    var sources: [String: String] = [:]
    var skipped: [String: String] = [:]
    for name in file.entries.keys where !name.hasSuffix("num_batches_tracked") {
      skipped[name] = "not of this network"
    }
    for tensor in layout.parameters + layout.statistics {
      let names = [tensor.name, network.alternativeName(of: tensor.name)].compactMap(\.self)
      guard let name = names.first(where: { file.entries[$0] != nil }), let entry = file.entries[name] else { continue }
      guard entry.format == .float32, entry.shape == tensor.shape else {
        skipped[name] = "\(entry.format.rawValue) \(entry.shape), here F32 \(tensor.shape)"
        continue
      }
      sources[tensor.name] = name
      skipped[name] = nil
    }
    self.sources = sources
    let all = (layout.parameters + layout.statistics).map(\.name)
    taken = all.filter { sources[$0] != nil }
    missing = all.filter { sources[$0] == nil }
    self.skipped = skipped.sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }.map { ($0.key, $0.value) }
    var own = Recipe()
    own.model = network.recipe
    // What a file says of itself need not be understood to take its tensors.
    let described = (try? ModelDescription(file, origin: origin)) ?? nil
    let difference = described?.difference(from: own)
    self.difference = difference
    func refusal(_ status: ExitStatus, _ text: String) -> SharedError {
      difference.map {
        SharedError(
          .badConfiguration, "\(origin): \($0); make the recipe's 'model' that of the file, or name another in 'init'")
      } ?? SharedError(status, "\(origin): \(text)")
    }
    // Of another width, a few vectors may match by chance.
    let hasWidth = described.map { $0.recipe.model.width == own.model.width } ?? true
    guard !taken.isEmpty, hasWidth else {
      let example = file.entries.keys.min().map { ", such as '\($0)'," } ?? ""
      throw refusal(
        .badData,
        "none of its \(file.entries.count) tensors\(example) belongs to \(network.recipe.architecture.rawValue) of "
          + "depth \(network.recipe.depth); tools/import_weights renames those of other programs")
    }
    let unfounded = (layout.parameters + layout.statistics).filter { $0.isFrozen && sources[$0.name] == nil }
    guard unfounded.isEmpty else {
      let names = folded(unfounded.map(\.name), among: all).joined(separator: ", ")
      throw refusal(
        .badConfiguration,
        "lacks \(names), which 'freeze' or 'model.partial_bn' would keep at initial values; train them, or "
          + "name a model in 'init' that has them")
    }
    for tensor in layout.parameters + layout.statistics {
      guard let name = sources[tensor.name] else { continue }
      let isVariance = tensor.name.hasSuffix("running_var")
      guard try file.floats(name).allSatisfy({ $0.isFinite && (!isVariance || $0 >= 0) }) else {
        throw SharedError(
          .badData, "\(origin): '\(name)' holds a number that no network has (infinite, none, or a variance below 0)")
      }
    }
  }

  /// Overwrites what the file has.
  func write(parameters: FloatStorage, statistics: FloatStorage) {
    for (tensors, storage) in [(layout.parameters, parameters), (layout.statistics, statistics)] {
      for tensor in tensors {
        guard let name = sources[tensor.name] else { continue }
        let place = unsafe UnsafeMutableRawBufferPointer(
          UnsafeMutableBufferPointer(rebasing: storage.buffer[tensor.range]))
        do {
          unsafe try file.withBytes(name, .float32, shape: tensor.shape) { unsafe place.copyMemory(from: $0) }
        } catch { preconditionFailure("'\(name)' was there when the file was matched: \(error)") }
      }
    }
  }

  /// What was taken, skipped and missing, a line each. Names whose tensors all fare alike stand together: `layer1.*`.
  public var report: [String] {
    let all = taken + missing
    func line(_ what: String, _ names: [String]) -> String {
      names.isEmpty ? "\(what): 0" : "\(what): \(names.count) (\(folded(names, among: all).joined(separator: ", ")))"
    }
    let reasons = Dictionary(grouping: skipped, by: \.reason).map { reason, tensors in
      folded(tensors.map(\.name), among: skipped.map(\.name)).joined(separator: ", ") + ": " + reason
    }
    return [difference.map { "another network: \($0)" }].compactMap(\.self) + [
      line("taken from the file", taken),
      "skipped in the file: \(skipped.count)"
        + (reasons.isEmpty ? "" : " (\(reasons.sorted().joined(separator: "; ")))"),
      line("beginning anew", missing),
    ]
  }
}

/// Names in the order of a tree, a whole branch of `all` as `BRANCH.*`.
func folded(_ names: [String], among all: [String]) -> [String] {
  /// Every branch with the number of names below it.
  func counts(_ names: [String]) -> [String: Int] {
    var counts: [String: Int] = [:]
    for name in names {
      let parts = name.split(separator: ".", omittingEmptySubsequences: false)
      for length in 0..<parts.count { counts[parts[..<length].joined(separator: "."), default: 0] += 1 }
    }
    return counts
  }
  let (own, whole) = (counts(names), counts(all))
  var result: [String] = []
  var last = ""
  for name in names.sorted(by: { $0.utf8.lexicographicallyPrecedes($1.utf8) }) {
    let parts = name.split(separator: ".", omittingEmptySubsequences: false)
    // The shortest branch all of whose names are here.
    let branch = (0..<parts.count).map { parts[..<$0].joined(separator: ".") }.first { own[$0] == whole[$0] }
    let text = branch.map { $0.isEmpty ? "all" : "\($0).*" } ?? name
    if text != last { result.append(text) }
    last = text
  }
  return result
}
