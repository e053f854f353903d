// Each key of a recipe: its path in YAML, its place in `Recipe`, what it may be. Reading, writing and checking share
// this table.

/// A value that a recipe can hold.
protocol RecipeValue {
  /// What to call the type in an error.
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

/// One key of the recipe.
struct RecipeField {
  /// `section.key`, or `key` at the top.
  let path: String
  /// Sets the value from YAML; returns what was wanted instead, or nil if all is well.
  let read: (inout Recipe, String) -> String?
  let write: (Recipe) -> String
}

extension Recipe {
  /// All keys, in the order in which they are written.
  static func fields() -> [RecipeField] {
    func value<Value: RecipeValue>(
      _ path: String, _ place: WritableKeyPath<Recipe, Value>, _ rule: String = "",
      _ holds: @escaping (Value) -> Bool = { _ in true }
    ) -> RecipeField {
      RecipeField(path: path) { recipe, text in
        guard let parsed = Value(yaml: text) else { return Value.wanted }
        guard holds(parsed) else { return "\(Value.wanted) \(rule)" }
        recipe[keyPath: place] = parsed
        return nil
      } write: {
        $0[keyPath: place].yaml
      }
    }
    func choice<Value: RawRepresentable & CaseIterable>(_ path: String, _ place: WritableKeyPath<Recipe, Value>)
      -> RecipeField
    where Value.RawValue == String {
      RecipeField(path: path) { recipe, text in
        guard let parsed = Choice<Value>(yaml: text) else { return Choice<Value>.wanted }
        recipe[keyPath: place] = parsed.value
        return nil
      } write: {
        Choice($0[keyPath: place]).yaml
      }
    }
    func count(_ path: String, _ place: WritableKeyPath<Recipe, Int>, from least: Int = 1, to most: Int = 1_000_000)
      -> RecipeField
    {
      value(path, place, "from \(least) to \(most)") { $0 >= least && $0 <= most }
    }
    func fraction(_ path: String, _ place: WritableKeyPath<Recipe, Double>) -> RecipeField {
      value(path, place, "from 0 to below 1") { $0 >= 0 && $0 < 1 }
    }
    func seconds(_ path: String, _ place: WritableKeyPath<Recipe, Double>) -> RecipeField {
      value(path, place, "above 0, in seconds") { $0 > 0 && $0 <= 1e6 }
    }
    return [
      value("name", \.name, "of letters, digits, '-', '_' and '.'") { name in
        !name.isEmpty && !name.hasPrefix(".") && name.utf8.allSatisfy { isNameByte($0) }
      },
      value("seed", \.seed),
      choice("engine", \.engine),
      choice("precision", \.precision),
      value("emulate_bf16", \.emulateBF16),
      choice("model.architecture", \.model.architecture),
      value("model.depth", \.model.depth, "50, 101 or 152") { [50, 101, 152].contains($0) },
      count("model.width", \.model.width, to: 1024),
      value("model.groups", \.model.groups, "even, from 2 to 1024") { $0 >= 2 && $0 <= 1024 && $0 % 2 == 0 },
      count("model.input_size", \.model.inputSize, from: 16, to: 4096),
      count("model.alpha", \.model.alpha, to: 64),
      count("model.beta", \.model.beta, to: 64),
      count("model.blending_frames", \.model.blendingFrames, to: 64),
      fraction("model.dropout", \.model.dropout),
      count("model.classes", \.model.classes),
      value("optimizer.learning_rate", \.optimizer.learningRate, "above 0") { $0 > 0 },
      fraction("optimizer.momentum", \.optimizer.momentum),
      value("optimizer.weight_decay", \.optimizer.weightDecay, "from 0 up") { $0 >= 0 },
      value("optimizer.nesterov", \.optimizer.nesterov),
      choice("schedule.kind", \.schedule.kind),
      count("schedule.epochs", \.schedule.epochs),
      value("schedule.warmup_epochs", \.schedule.warmupEpochs, "from 0 up") { $0 >= 0 },
      count("schedule.step_epochs", \.schedule.stepEpochs),
      RecipeField(path: "schedule.milestones") { recipe, text in
        let numbers = text.split(separator: ",").map { Int($0) }
        let epochs = numbers.compactMap { $0 }
        guard epochs.count == numbers.count, zip(epochs, epochs.dropFirst()).allSatisfy(<),
          epochs.allSatisfy({ $0 > 0 })
        else { return "a list of ascending epochs, such as [20, 40]" }
        recipe.schedule.milestones = epochs
        return nil
      } write: {
        "[" + $0.schedule.milestones.map(String.init).joined(separator: ", ") + "]"
      },
      value("schedule.gamma", \.schedule.gamma, "above 0 and at most 1") { $0 > 0 && $0 <= 1 },
      count("schedule.patience", \.schedule.patience, from: 0),
      count("batch.lanes", \.batch.lanes, to: 4096),
      count("batch.clips_per_lane", \.batch.clipsPerLane, to: 4096),
      choice("data.format", \.data.format),
      value("data.path", \.data.path),
      value("data.train_list", \.data.trainList),
      value("data.validation_list", \.data.validationList),
      value("data.train_videos", \.data.trainVideos),
      value("data.validation_videos", \.data.validationVideos),
      value("data.labels", \.data.labels),
      choice("data.sampling", \.data.sampling),
      count("data.dense_stride", \.data.denseStride, to: 10_000),
      value("data.flip", \.data.flip),
      value("data.multi_scale", \.data.multiScale),
      value("data.shuffle_frames", \.data.shuffleFrames),
      fraction("data.maximum_lost", \.data.maximumLost),
      count("data.decode_threads", \.data.decodeThreads, to: 256),
      count("data.evaluation_clips", \.data.evaluationClips, to: 100),
      value("data.evaluation_crops", \.data.evaluationCrops, "1, 3, 5 or 10") { [1, 3, 5, 10].contains($0) },
      count("exchange.gradient_bits", \.exchange.gradientBits, from: 2, to: 20),
      count("exchange.chunk_values", \.exchange.chunkValues, from: 64, to: 65_536),
      count("exchange.bucket_values", \.exchange.bucketValues, from: 65_536, to: 268_435_456),
      choice("exchange.codec", \.exchange.codec),
      value("exchange.shared_memory", \.exchange.sharedMemory),
      choice("exchange.non_finite", \.exchange.nonFinite),
      count("checkpoint.every_steps", \.checkpoint.everySteps, from: 0, to: 1_000_000_000),
      count("checkpoint.keep", \.checkpoint.keep, to: 1000),
      seconds("faults.heartbeat_seconds", \.faults.heartbeatSeconds),
      seconds("faults.suspect_seconds", \.faults.suspectSeconds),
      seconds("faults.evict_seconds", \.faults.evictSeconds),
      seconds("faults.return_seconds", \.faults.returnSeconds),
      seconds("faults.hang_seconds", \.faults.hangSeconds),
      seconds("faults.link_seconds", \.faults.linkSeconds),
      seconds("faults.join_seconds", \.faults.joinSeconds),
      seconds("faults.orphan_seconds", \.faults.orphanSeconds),
      seconds("faults.data_seconds", \.faults.dataSeconds),
      count("faults.restarts", \.faults.restarts, from: 0),
    ]
  }

  private static func isNameByte(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"),
      UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."):
      true
    default: false
    }
  }
}
