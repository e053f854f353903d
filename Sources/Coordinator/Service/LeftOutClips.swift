// Why clips of a data set were left out, for all who tell it.
import Dataset

/// The clips that were left out of a list, by reason.
struct LeftOutClips {
  /// `training` or `validation`.
  let list: String
  let clips: Int
  /// How many clips have each, the most frequent first.
  let reasons: [(reason: String, clips: Int)]
}

extension Indexes {
  /// Of each list of which clips were left out.
  /// - Throws: `DatasetError` where a list of rejected clips is damaged.
  func leftOut() throws -> [LeftOutClips] {
    try [("training", rejectedTrain), ("validation", rejectedValidation)].compactMap { list, rejected in
      let tally = try rejected.reasons()
      var reasons = tally.sorted.map { (reason: $0.value, clips: $0.count) }
      if tally.others > 0 { reasons.append(("other reasons", tally.others)) }
      return reasons.isEmpty ? nil : LeftOutClips(list: list, clips: rejected.count, reasons: reasons)
    }
  }
}
