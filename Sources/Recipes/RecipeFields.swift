// The table of all keys: path in YAML, property of `Recipe`, limits, and what the key decides. Reading, writing,
// checking, the digest and resuming all use it.
import Shared

/// A type that a key of a recipe can have.
protocol RecipeValue {
  /// The type's name in errors.
  static var wanted: String { get }
  init?(yaml: String)
  var yaml: String { get }
}

extension Int: RecipeValue {
  static var wanted: String { "a whole number" }
  init?(yaml: String) { self.init(yaml) }
  var yaml: String { String(self) }
}

extension UInt64: RecipeValue {
  static var wanted: String { "a whole number from 0 to 2^64 - 1" }
  init?(yaml: String) { self.init(yaml) }
  var yaml: String { String(self) }
}

extension Double: RecipeValue {
  static var wanted: String { "a number" }
  init?(yaml: String) {
    guard let value = Double(yaml), value.isFinite else { return nil }
    self = value
  }
  var yaml: String { self == rounded() && magnitude < 1e15 ? String(Int(self)) : String(self) }
}

extension Bool: RecipeValue {
  static var wanted: String { "true or false" }
  init?(yaml: String) { self.init(yaml) }
  var yaml: String { String(self) }
}

extension String: RecipeValue {
  static var wanted: String { "a text" }
  init?(yaml: String) { self = yaml }
  var yaml: String { "\"" + map { $0 == "\"" || $0 == "\\" ? "\\\($0)" : "\($0)" }.joined() + "\"" }
}

/// A type whose values have names.
struct Choice<Value: RawRepresentable & CaseIterable>: RecipeValue where Value.RawValue == String {
  let value: Value
  static var wanted: String { "one of " + Value.allCases.map(\.rawValue).joined(separator: ", ") }
  init(_ value: Value) { self.value = value }
  init?(yaml: String) {
    guard let value = Value(rawValue: yaml) else { return nil }
    self.value = value
  }
  var yaml: String { value.rawValue }
}

/// What a key decides. It determines whether a resumed run may change the key.
enum RecipeScope {
  /// The bits of the whole run. It may not change.
  case run
  /// The bits of later steps. It may change; the journal records the change and the step from which it counts.
  case laterSteps
  /// A measurement, and no bit of training. It may change, and the journal records the change.
  case measurement
  /// No bits: where things are, what is shown, how faults are handled. It may change freely.
  case nothing

  var decidesBits: Bool { self == .run || self == .laterSteps }
  var mayChange: Bool { self != .run }
  /// Whether the journal records a change.
  var isRevised: Bool { self == .laterSteps || self == .measurement }
}

/// One key of the recipe.
struct RecipeField {
  /// `section.key`, or `key` at the top.
  let path: String
  /// The YAML of the value with which runs behave as before the key existed. It never changes, whatever becomes of the
  /// default: a run's digest leaves out keys that have this value.
  let introduced: String
  let scope: RecipeScope
  /// Sets the value from YAML; returns what was expected instead, or nil if the value is accepted.
  let read: (inout Recipe, String) -> String?
  /// What was expected instead of a recipe's value, or nil if the value is accepted.
  let check: (Recipe) -> String?
  let write: (Recipe) -> String
}

extension Recipe {
  /// All keys, in the order of the YAML.
  static func fields() -> [RecipeField] {
    func value<Value: RecipeValue>(
      _ path: String, _ place: WritableKeyPath<Recipe, Value>, _ introduced: Value, _ scope: RecipeScope = .run,
      _ rule: String = "", _ holds: @escaping (Value) -> Bool = { _ in true }
    ) -> RecipeField {
      func mistake(_ value: Value) -> String? { holds(value) ? nil : "\(Value.wanted) \(rule)" }
      return RecipeField(path: path, introduced: introduced.yaml, scope: scope) { recipe, text in
        guard let parsed = Value(yaml: text) else { return Value.wanted }
        if let wanted = mistake(parsed) { return wanted }
        recipe[keyPath: place] = parsed
        return nil
      } check: {
        mistake($0[keyPath: place])
      } write: {
        $0[keyPath: place].yaml
      }
    }
    func choice<Value: RawRepresentable & CaseIterable>(
      _ path: String, _ place: WritableKeyPath<Recipe, Value>, _ introduced: Value, _ scope: RecipeScope = .run
    ) -> RecipeField where Value.RawValue == String {
      RecipeField(path: path, introduced: introduced.rawValue, scope: scope) { recipe, text in
        guard let parsed = Choice<Value>(yaml: text) else { return Choice<Value>.wanted }
        recipe[keyPath: place] = parsed.value
        return nil
      } check: { _ in
        nil
      } write: {
        Choice($0[keyPath: place]).yaml
      }
    }
    /// The name of an entry of a registry. The caller passes the entries to `RecipeFile.init`.
    func name(_ path: String, _ place: WritableKeyPath<Recipe, String>, _ introduced: String) -> RecipeField {
      func mistake(_ text: String) -> String? {
        !text.isEmpty && text.utf8.allSatisfy(isNameByte) ? nil : "a name of letters, digits, '-', '_' and '.'"
      }
      return RecipeField(path: path, introduced: introduced, scope: .run) { recipe, text in
        if let wanted = mistake(text) { return wanted }
        recipe[keyPath: place] = text
        return nil
      } check: {
        mistake($0[keyPath: place])
      } write: {
        $0[keyPath: place]
      }
    }
    func count(
      _ path: String, _ place: WritableKeyPath<Recipe, Int>, _ introduced: Int, _ scope: RecipeScope = .run,
      from least: Int = 1, to most: Int = 1_000_000
    ) -> RecipeField {
      value(path, place, introduced, scope, "from \(least) to \(most)") { $0 >= least && $0 <= most }
    }
    func fraction(_ path: String, _ place: WritableKeyPath<Recipe, Double>, _ introduced: Double) -> RecipeField {
      value(path, place, introduced, .run, "from 0 to below 1") { $0 >= 0 && $0 < 1 }
    }
    func seconds(_ path: String, _ place: WritableKeyPath<Recipe, Double>, _ introduced: Double) -> RecipeField {
      value(path, place, introduced, .nothing, "above 0, in seconds") { $0 > 0 && $0 <= 1e6 }
    }
    return [
      value("name", \.name, "run", .nothing, "of letters, digits, '-', '_' and '.'") { name in
        !name.isEmpty && !name.hasPrefix(".") && name.utf8.allSatisfy(isNameByte)
      },
      value("seed", \.seed, 1),
      choice("engine", \.engine, .onednn),
      choice("precision", \.precision, .float32),
      value("emulate_bf16", \.emulateBF16, false),
      value("freeze", \.model.freeze, NamePatterns()),
      value("init", \.initial.path, "", .nothing),
      value("init_sha256", \.initial.sha256, "", .run, "of 64 hexadecimal digits, or nothing") { text in
        text.isEmpty || text.utf8.count == 64 && text.utf8.allSatisfy { Array("0123456789abcdef".utf8).contains($0) }
      },
      choice("model.architecture", \.model.architecture, .blvnetTAM),
      value("model.depth", \.model.depth, 50, .run, "50, 101 or 152") { [50, 101, 152].contains($0) },
      count("model.width", \.model.width, 64, to: 1024),
      count("model.groups", \.model.groups, 16, to: 1024),
      count("model.input_size", \.model.inputSize, 224, from: 16, to: 4096),
      count("model.alpha", \.model.alpha, 2, to: 64),
      count("model.beta", \.model.beta, 4, to: 64),
      count("model.blending_frames", \.model.blendingFrames, 3, to: 64),
      count("model.shift_div", \.model.shiftDiv, 8),
      value("model.temporal_stride", \.model.temporalStride, false),
      choice("model.temporal_pooling", \.model.temporalPooling, .max),
      fraction("model.dropout", \.model.dropout, 0.5),
      count("model.classes", \.model.classes, 400),
      value("model.partial_bn", \.model.partialNorm, false),
      choice("optimizer.kind", \.optimizer.kind, .sgd),
      value("optimizer.learning_rate", \.optimizer.learningRate, 0.01, .run, "above 0") { $0 > 0 },
      fraction("optimizer.momentum", \.optimizer.momentum, 0.9),
      value("optimizer.weight_decay", \.optimizer.weightDecay, 0.0005, .run, "from 0 up") { $0 >= 0 },
      value("optimizer.nesterov", \.optimizer.nesterov, true),
      fraction("optimizer.beta1", \.optimizer.beta1, 0.9),
      fraction("optimizer.beta2", \.optimizer.beta2, 0.999),
      value("optimizer.epsilon", \.optimizer.epsilon, 1e-8, .run, "from 1e-30 to 1") { $0 >= 1e-30 && $0 <= 1 },
      value("optimizer.clip_norm", \.optimizer.clipNorm, 0, .run, "from 0 up") { $0 >= 0 },
      fraction("optimizer.ema", \.optimizer.ema, 0),
      value("optimizer.groups", \.optimizer.groups, OptimizerRecipe.Groups()),
      fraction("loss.label_smoothing", \.loss.labelSmoothing, 0),
      value("loss.class_weights", \.loss.classWeights, .equal),
      choice("schedule.kind", \.schedule.kind, .cosine),
      count("schedule.epochs", \.schedule.epochs, 50, .laterSteps),
      value("schedule.warmup_epochs", \.schedule.warmupEpochs, 0, .run, "from 0 up") { $0 >= 0 },
      count("schedule.step_epochs", \.schedule.stepEpochs, 30),
      RecipeField(path: "schedule.milestones", introduced: "[]", scope: .run) { recipe, text in
        let list = text.hasPrefix("[") && text.hasSuffix("]") ? text.dropFirst().dropLast() : text[...]
        let numbers = list.split(separator: ",").map { Int($0.drop { $0 == " " }) }
        let epochs = numbers.compactMap { $0 }
        guard epochs.count == numbers.count, isAscending(epochs) else { return milestones }
        recipe.schedule.milestones = epochs
        return nil
      } check: {
        isAscending($0.schedule.milestones) ? nil : milestones
      } write: {
        "[" + $0.schedule.milestones.map(String.init).joined(separator: ", ") + "]"
      },
      value("schedule.gamma", \.schedule.gamma, 0.1, .run, "above 0 and at most 1") { $0 > 0 && $0 <= 1 },
      count("schedule.patience", \.schedule.patience, 10, from: 0),
      choice("schedule.plateau_on", \.schedule.plateauOn, .loss),
      choice("schedule.multigrid", \.schedule.multigrid, .none),
      count("batch.lanes", \.batch.lanes, 8, to: 4096),
      count("batch.clips_per_lane", \.batch.clipsPerLane, 4, to: 4096),
      name("data.format", \.data.format, "kinetics"),
      value("data.path", \.data.path, ".", .nothing),
      value("data.train_list", \.data.trainList, "train.csv"),
      value("data.validation_list", \.data.validationList, "validation.csv"),
      value("data.train_videos", \.data.trainVideos, "train"),
      value("data.validation_videos", \.data.validationVideos, "validation"),
      value("data.labels", \.data.labels, ""),
      value("data.image_names", \.data.imageNames, "", .run, "that is \"\", or \(ImageNameTemplate.wanted)") {
        $0.isEmpty || ImageNameTemplate($0) != nil
      },
      fraction("data.validation_fraction", \.data.validationFraction, 0.1),
      choice("data.sampling", \.data.sampling, .uniform),
      count("data.dense_stride", \.data.denseStride, 4, to: 10_000),
      count("data.frames_per_group", \.data.framesPerGroup, 1, to: 1024),
      value("data.flip", \.data.flip, true),
      value("data.multi_scale", \.data.multiScale, true),
      value("data.balanced", \.data.balanced, false),
      value("data.crop_area", \.data.cropArea, 0, .run, "from 0 to 1") { $0 >= 0 && $0 <= 1 },
      fraction("data.colour_jitter", \.data.colourJitter, 0),
      value("data.hue_jitter", \.data.hueJitter, 0, .run, "from 0 to 0.5") { $0 >= 0 && $0 <= 0.5 },
      value("data.erasing", \.data.erasing, 0, .run, "from 0 to 1") { $0 >= 0 && $0 <= 1 },
      value("data.mixup", \.data.mixup, 0, .run, betaRule, isBeta),
      value("data.cutmix", \.data.cutmix, 0, .run, betaRule, isBeta),
      value("data.shuffle_frames", \.data.shuffleFrames, false),
      value("data.maximum_lost", \.data.maximumLost, 0.01, .nothing, "from 0 to below 1") { $0 >= 0 && $0 < 1 },
      value("data.accept_truncated", \.data.acceptTruncated, false),
      count("data.clip_pixels", \.data.clipPixels, 67_108_864, .nothing, from: 256, to: 268_435_456),
      count("data.clip_packets", \.data.clipPackets, 4_000_000, .nothing, to: 1_000_000_000),
      count("data.clip_bytes", \.data.clipBytes, 1_099_511_627_776, .nothing, to: 1_000_000_000_000_000),
      seconds("data.clip_seconds", \.data.clipSeconds, 1800),
      count("data.cache_bytes", \.data.cacheBytes, 50_000_000_000, .nothing, to: 1_000_000_000_000_000),
      count("data.decode_threads", \.data.decodeThreads, 1, .nothing, to: 256),
      count("data.evaluation_clips", \.data.evaluationClips, 1, .measurement, to: 100),
      value("data.evaluation_crops", \.data.evaluationCrops, 1, .measurement, "1, 3, 5 or 10") {
        [1, 3, 5, 10].contains($0)
      },
      value("data.evaluation_scale_up", \.data.evaluationScaleUp, true, .measurement),
      // Where a plateau follows the validations, what they measure is a key of the run: `Recipe.measures`.
      count("validation.every_epochs", \.validation.everyEpochs, 0, .measurement, from: 0),
      count("validation.clips", \.validation.clips, 0, .measurement, from: 0, to: 1_000_000_000),
      count("validation.stop_after", \.validation.stopAfter, 0, .measurement, from: 0),
      count("exchange.gradient_bits", \.exchange.gradientBits, 10, from: 2, to: 20),
      count("exchange.chunk_values", \.exchange.chunkValues, 65_536, .nothing, from: 64, to: 65_536),
      count("exchange.bucket_values", \.exchange.bucketValues, 1_048_576, .nothing, from: 65_536, to: 268_435_456),
      choice("exchange.codec", \.exchange.codec, .auto, .nothing),
      value("exchange.shared_memory", \.exchange.sharedMemory, true, .nothing),
      choice("exchange.non_finite", \.exchange.nonFinite, .stop),
      count("checkpoint.every_steps", \.checkpoint.everySteps, 0, .nothing, from: 0, to: 1_000_000_000),
      count("checkpoint.keep", \.checkpoint.keep, 3, .nothing, to: 1000),
      seconds("faults.heartbeat_seconds", \.faults.heartbeatSeconds, 0.25),
      seconds("faults.suspect_seconds", \.faults.suspectSeconds, 1),
      seconds("faults.evict_seconds", \.faults.evictSeconds, 3),
      seconds("faults.return_seconds", \.faults.returnSeconds, 60),
      seconds("faults.hang_seconds", \.faults.hangSeconds, 60),
      seconds("faults.link_seconds", \.faults.linkSeconds, 3),
      seconds("faults.join_seconds", \.faults.joinSeconds, 60),
      seconds("faults.orphan_seconds", \.faults.orphanSeconds, 60),
      seconds("faults.data_seconds", \.faults.dataSeconds, 600),
      count("faults.restarts", \.faults.restarts, 5, .nothing, from: 0),
    ]
  }

  private static let betaRule = "0, or from 0.05 to 4"

  private static func isBeta(_ value: Double) -> Bool { value == 0 || (0.05...4).contains(value) }

  private static let milestones = "a list of ascending epochs, such as [20, 40]"

  private static func isAscending(_ epochs: [Int]) -> Bool {
    zip(epochs, epochs.dropFirst()).allSatisfy(<) && epochs.allSatisfy { $0 > 0 }
  }
}
