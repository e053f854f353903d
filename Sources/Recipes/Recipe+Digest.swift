// The digest by which runs and checkpoints recognise their recipe. It has versions, since keys come and go.
import Foundation
import Shared

extension Recipe {
  /// Identifies this recipe: `2:` and 32 hexadecimal digits. The digest covers every key that decides bits and whose
  /// value at the beginning of the run differs from the one that the key was introduced with.
  ///
  /// So a new key does not change the digest of a recipe that does not use it.
  public var digest: String {
    let values = valuesAtTheBeginning
    let lines = Recipe.fields().filter { decidesBits($0) && values[$0.path] != $0.introduced }
      .map { "\($0.path): \(values[$0.path] ?? "")\n" }.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
    return "2:\(Digest128(of: Array(lines.joined().utf8)))"
  }

  /// Whether `text` is a digest of this recipe, of this version or an older one.
  public func matches(digest text: String) -> Bool { text == digest || text == version1Digest?.description }

  /// The keys that decide what a validation measures.
  static let measures: Set<String> = [
    "validation.every_epochs", "validation.clips", "validation.precise_bn", "data.evaluation_clips",
    "data.evaluation_crops",
    "data.evaluation_scale_up",
  ]

  /// Whether a key decides bits in a run of this recipe. What is measured does where the learning rate follows it.
  func decidesBits(_ field: RecipeField) -> Bool {
    field.scope.decidesBits || (schedule.followsValidation && Recipe.measures.contains(field.path))
  }

  /// Each key's value before all revisions, as YAML.
  var valuesAtTheBeginning: [String: String] {
    var values = Dictionary(uniqueKeysWithValues: Recipe.fields().map { ($0.path, $0.write(self)) })
    for revision in revisions.reversed() { values[revision.key] = revision.old }
    // What `auto` recognises decides the index, which has a digest of its own. So recipes that do not name their format
    // keep the digest that they had when Kinetics was the built-in one.
    if values["data.format"] == "auto" { values["data.format"] = "kinetics" }
    return values
  }

  // MARK: - Version 1

  /// The digest of runs that began before digests had versions. It covers the recipe's YAML of that time, in which keys
  /// that decide no bits have fixed values. Nil if a later key has an effect, since no such run can have one.
  private var version1Digest: Digest128? {
    let values = valuesAtTheBeginning
    let later = Recipe.fields().filter { $0.scope.decidesBits && !Recipe.version1Keys.contains($0.path) }
    guard later.allSatisfy({ values[$0.path] == $0.introduced }) else { return nil }
    let text = Recipe.document(Recipe.version1Keys.map { ($0, Recipe.version1Constants[$0] ?? values[$0] ?? "") })
    return Digest128(of: Array(text.utf8))
  }

  /// The keys of version 1, in the order of that time. This and the constants never change.
  private static let version1Keys = """
    name seed engine precision emulate_bf16
    model.architecture model.depth model.width model.groups model.input_size model.alpha model.beta
    model.blending_frames model.dropout model.classes
    optimizer.learning_rate optimizer.momentum optimizer.weight_decay optimizer.nesterov
    schedule.kind schedule.epochs schedule.warmup_epochs schedule.step_epochs schedule.milestones schedule.gamma
    schedule.patience batch.lanes batch.clips_per_lane
    data.format data.path data.train_list data.validation_list data.train_videos data.validation_videos data.labels
    data.sampling data.dense_stride data.flip data.multi_scale data.shuffle_frames data.decode_threads
    data.evaluation_clips data.evaluation_crops
    exchange.gradient_bits exchange.chunk_values exchange.bucket_values exchange.codec exchange.shared_memory
    exchange.non_finite checkpoint.every_steps checkpoint.keep
    faults.heartbeat_seconds faults.suspect_seconds faults.evict_seconds faults.return_seconds faults.hang_seconds
    faults.link_seconds faults.join_seconds faults.orphan_seconds faults.restarts
    """.split(whereSeparator: \.isWhitespace).map(String.init)

  /// The values that version 1 used for keys that decide no bits.
  private static let version1Constants = [
    "name": #""""#, "data.path": #""""#, "data.decode_threads": "1", "exchange.chunk_values": "65536",
    "exchange.bucket_values": "1048576", "exchange.codec": "auto", "exchange.shared_memory": "true",
    "checkpoint.every_steps": "0", "checkpoint.keep": "3", "faults.heartbeat_seconds": "0.25",
    "faults.suspect_seconds": "1", "faults.evict_seconds": "3", "faults.return_seconds": "60",
    "faults.hang_seconds": "60", "faults.link_seconds": "3", "faults.join_seconds": "60",
    "faults.orphan_seconds": "60", "faults.restarts": "5",
  ]
}
