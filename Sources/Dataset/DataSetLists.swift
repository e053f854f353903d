// From what a recipe says of its data to the clips to probe: finds the lists, their formats, the classes and the files.
import Foundation
import Remote
import Shared

/// What a recipe says of its data (section `data` and the seed).
public struct DataSetDescription: Sendable {
  public var format = AnnotationFormats.automatic
  public var path = "."
  public var trainList = "train.csv"
  public var validationList = "validation.csv"
  public var trainVideos = "train"
  public var validationVideos = "validation"
  public var labels = ""
  public var seed: UInt64 = 1
  /// The part of the clips that is kept for validation where no list or folder says which.
  public var validationFraction = 0.1

  /// Reads what is on the web; nil where nothing is to be.
  public var remote: RemoteFiles?

  static let builtIn = DataSetDescription()

  public init() {}
}

/// The clips of a data set that are to be probed.
public struct DataSetLists: Sendable {
  public let classes: ClassList
  public private(set) var train: ClipCandidates
  /// Nil if there is no validation.
  public private(set) var validation: ClipCandidates?
  /// What the lists are called in messages.
  public let trainName: String
  public private(set) var validationName = ""
  /// What the user should know: how a list was understood, what was passed over.
  public private(set) var notes: [String] = []

  /// - Throws: `DatasetError` if a list or folder cannot be read or understood, or no training clip has a file.
  public init(_ data: DataSetDescription, formats: AnnotationFormats = .known) throws {
    let source = try formats.named(data.format)
    let lists = try Lists(data, source)
    let train = try Annotations(lists.train, source: lists.source ?? source, formats: formats)
    trainName = train.name
    let hasNoList = train.source is ClassFolders
    // Where validation is drawn, a class of few clips may have all of them there.
    let drawn =
      try lists.validation.flatMap { list in
        try hasNoList ? Annotations(list, source: ClassFolders(), mayBeEmpty: true) : nil
      }
    if source == nil { notes.append("\(train.name): \(train.source.appearance) (data.format: \(train.source.name))") }
    do {
      classes =
        try data.labels.isEmpty
        ? ClassList(labelsOf: train, and: drawn.map { Array($0.labels.keys) } ?? [])
        : ClassList(contentsOf: folderPath(data: data.path, data.labels), training: train, remote: data.remote)
    } catch let error as DatasetError where error.description.hasPrefix("no classes") {
      throw DatasetError(
        .badData, "\(train.name): \(error.description)" + formats.hint(train.list, not: train.source))
    }
    notes += classes.warnings
    let trainFolder = try Self.folder(
      data, data.trainVideos,
      isOptional: hasNoList || data.trainVideos == DataSetDescription.builtIn.trainVideos, lists.train)
    self.train = try ClipCandidates(of: train, classes: classes, folder: trainFolder)
    note(train, trainFolder)
    if self.train.found.isEmpty {
      let first = self.train.rejected.first.map { "\($0.id): \($0.reason)" } ?? "the list is empty"
      throw DatasetError(
        .badData,
        "\(train.name): no training clip can be used; the first reason: \(first)"
          + formats.hint(train.list, not: train.source))
    }
    guard let list = lists.validation else { return }
    let same = lists.source ?? source ?? (train.source.recognises(list) ? train.source : nil)
    let validation = try drawn ?? Annotations(list, source: same, formats: formats)
    validationName = validation.name
    if validation.count == 0 {
      notes.append("\(validation.name): no clip was drawn for validation (data.validation_fraction)")
      return
    }
    if source == nil, validation.source.name != train.source.name {
      notes.append("\(validation.name): \(validation.source.appearance) (data.format: \(validation.source.name))")
    }
    let folder = try Self.folder(
      data, data.validationVideos,
      isOptional: hasNoList || data.validationVideos == DataSetDescription.builtIn.validationVideos, list)
    self.validation = try ClipCandidates(of: validation, classes: classes, folder: folder)
    note(validation, folder)
  }

  /// The training candidates, which this list then no longer holds: ten million take more than a gigabyte.
  public mutating func takeTrain() -> ClipCandidates {
    let taken = train
    train = ClipCandidates(classes: classes)
    return taken
  }

  /// The same of the validation candidates.
  public mutating func takeValidation() -> ClipCandidates? {
    let taken = validation
    validation = nil
    return taken
  }

  private static func folder(
    _ data: DataSetDescription, _ videos: String, isOptional: Bool, _ list: AnnotationList
  ) throws -> VideoFolder {
    let first = list.files.first?.name ?? ""
    let lists = String(Substring(first.utf8.dropLast(FileNames.name(of: first).utf8.count + 1)))
    return try VideoFolder(
      root: folderPath(data: data.path, videos), data: data.path, lists: lists.isEmpty ? nil : lists,
      isOptional: isOptional)
  }

  private mutating func note(_ annotations: Annotations, _ folder: VideoFolder) {
    if annotations.unreadable > 0 {
      notes.append(
        "\(annotations.name): \(annotations.unreadable) of \(annotations.count + annotations.unreadable) rows cannot be "
          + "read and are left out")
    }
    let unreadable = folder.unreadable
    if !unreadable.isEmpty {
      let shown = unreadable.prefix(3).joined(separator: ", ") + (unreadable.count > 3 ? " and others" : "")
      notes.append("passed over, since they cannot be read: \(shown)")
    }
  }

  // MARK: Which lists

  /// The lists that a recipe means.
  private struct Lists {
    let train: AnnotationList
    let validation: AnnotationList?
    /// The format, where it follows from there being no list.
    var source: (any AnnotationSource)?

    init(_ data: DataSetDescription, _ source: (any AnnotationSource)?) throws {
      if let remote = data.remote, isWebAddress(data.path), data.trainList == DataSetDescription.builtIn.trainList,
        let pack = try PackManifest(of: data.path, remote)
      {
        guard let shards = pack.list("train", of: data.path, role: .training, remote) else {
          throw DatasetError(.badData, "\(shownPath(data.path)): the pack has no training shards; pack the data again")
        }
        train = shards
        self.source = WebDatasetAnnotations()
        validation = pack.list("validation", of: data.path, role: .validation, remote)
        return
      }
      if !data.trainList.hasPrefix("/") { try data.requireFolder() }
      let path = folderPath(data: data.path, data.trainList)
      let isMissing =
        data.trainList.isEmpty
        || (data.trainList == DataSetDescription.builtIn.trainList && !AnnotationList.exists(path, data.remote))
      if isMissing, isWebAddress(path) {
        throw DatasetError(
          .ioError,
          "\(shownPath(data.path)): is on the web, and there is neither \(PackManifest.name) nor \(data.trainList) in it; "
            + "name the shards in data.train_list")
      }
      try data.requireVideos("data.train_videos", data.trainVideos, unless: DataSetDescription.builtIn.trainVideos)
      if source is ClassFolders || (source == nil && isMissing) {
        try data.requireValidationVideos()
        (train, validation) = try ClassFolders.lists(data)
        self.source = ClassFolders()
        return
      }
      train = try AnnotationList(contentsOf: path, remote: data.remote)
      let other = folderPath(data: data.path, data.validationList)
      let isLeftOut =
        data.validationList.isEmpty
        || (data.validationList == DataSetDescription.builtIn.validationList
          && !AnnotationList.exists(other, data.remote))
      if !isLeftOut { try data.requireValidationVideos() }
      validation = isLeftOut ? nil : try AnnotationList(contentsOf: other, role: .validation, remote: data.remote)
    }
  }
}

extension DataSetDescription {
  /// - Throws: `DatasetError` where the data folder is not there: then no list in it is to blame.
  public func requireFolder() throws(DatasetError) {
    guard !isWebAddress(path), !FileManager.default.fileExists(atPath: path) else { return }
    throw DatasetError(.ioError, "\(path): there is no such folder; check the recipe's data.path")
  }

  /// Without the built-in folder of videos, others are searched; one that the recipe names is meant.
  /// - Throws: `DatasetError` where there is no such folder.
  fileprivate func requireVideos(_ key: String, _ name: String, unless builtIn: String) throws(DatasetError) {
    let folder = folderPath(data: path, name)
    var isFolder: ObjCBool = false
    guard name != builtIn, !isWebAddress(folder) else { return }
    guard unsafe FileManager.default.fileExists(atPath: folder, isDirectory: &isFolder), isFolder.boolValue else {
      throw DatasetError(.ioError, "'\(key)' is '\(name)', but there is no folder \(folder)", key: key)
    }
  }

  fileprivate func requireValidationVideos() throws(DatasetError) {
    try requireVideos("data.validation_videos", validationVideos, unless: Self.builtIn.validationVideos)
  }

  /// Whether the recipe's validation list is there, or is not needed.
  public var hasValidation: Bool {
    validationList.isEmpty || format == ClassFolders().name
      || AnnotationList.exists(folderPath(data: path, validationList), remote)
  }
}
