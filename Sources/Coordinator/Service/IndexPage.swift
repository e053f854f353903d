// The page of `coordinator index --html`: the report, and pictures of some clips of each class. One file without
// scripts, which also prints.
import Dataset
import Foundation
import Recipes
import Remote
import Shared
import Synchronization
import Video

/// A page about a data set.
struct IndexPage {
  /// Some frames of a clip.
  private struct Sheet {
    var clip: ClipEntry
    var pictures: [Data] = []
    /// Clockwise, in degrees.
    var rotation = 0
    /// Why there are none.
    var problem = ""
  }

  private let report: IndexReport
  private let recipe: Recipe
  private let classes: [String]
  private let counts: [Int]
  private let sheets: [Int: [Sheet]]
  /// Classes without pictures, since there are too many.
  private let unseen: Int

  private static let clipsInAll = 300
  private static let clipsOfClass = 4
  private static let frames = 4
  /// Pixels.
  private static let height = 96

  /// Takes the pictures, on all cores.
  /// - Parameters:
  ///   - decoders: decode the clips.
  ///   - progress: gets how many clips are done, of how many.
  init(
    _ report: IndexReport, _ indexes: Indexes, _ recipe: Recipe, decoders: DecodingPool = .inThisProcess(),
    _ progress: @escaping @Sendable (Int, Int) -> Void
  ) {
    self.report = report
    self.recipe = recipe
    classes = indexes.train.classes
    counts = report.classes
    let each = min(Self.clipsOfClass, max(1, Self.clipsInAll / max(1, classes.count)))
    let shown = min(classes.count, Self.clipsInAll)
    unseen = classes.count - shown
    let chosen = Self.choose(indexes.train, classes: shown, each: each)
    let data = recipe.data
    let remote = RemoteFiles(recipe)
    let taken = Mutex<[Int: Sheet]>([:])
    DispatchQueue.concurrentPerform(iterations: chosen.count) { number in
      let sheet = Self.take(
        chosen[number], clipPath(data: data.path, videos: data.trainVideos, path: chosen[number].path), remote,
        decoders,
        recipe.videoRules)
      let done = taken.withLock { taken in
        taken[number] = sheet
        return taken.count
      }
      progress(done, chosen.count)
    }
    let all = taken.withLock { $0 }
    var sheets: [Int: [Sheet]] = [:]
    for sheet in all.keys.sorted().compactMap({ all[$0] }) {
      for label in sheet.clip.labels where label < shown { sheets[label, default: []].append(sheet) }
    }
    self.sheets = sheets
  }

  /// Some clips of each class, spread over the index.
  private static func choose(_ index: ClipIndex, classes: Int, each: Int) -> [ClipEntry] {
    var found = [Int](repeating: 0, count: index.classes.count)
    var chosen: [ClipEntry] = []
    let count = index.clips.count
    // Steps through all clips with a stride that meets each once, until every class has enough.
    var step = max(1, Int(Double(count) * 0.618))
    while gcd(step, count) > 1 { step += 1 }
    var number = 0
    for _ in 0..<min(count, 200_000) where chosen.count < classes * each {
      let clip = index.clips[number]
      number = (number + step) % count
      guard clip.labels.contains(where: { $0 < classes && found[$0] < each }) else { continue }
      for label in clip.labels { found[label] += 1 }
      chosen.append(clip)
    }
    return chosen
  }

  private static func gcd(_ a: Int, _ b: Int) -> Int { b == 0 ? a : gcd(b, a % b) }

  private static func take(
    _ clip: ClipEntry, _ path: String, _ remote: RemoteFiles, _ decoders: DecodingPool, _ rules: VideoRules
  ) -> Sheet {
    do {
      let pictures = try remote.with(path) { path in
        try decoders.pictures(
          path, range: clip.bytesInShard, isProved: clip.isProved, first: clip.first, frames: clip.frames,
          count: frames, height: height, rules: rules)
      }
      return Sheet(clip: clip, pictures: pictures.jpegs, rotation: pictures.rotation)
    } catch { return Sheet(clip: clip, problem: "\(error)") }
  }

  // MARK: The page

  /// - Throws: `SharedError(.ioError)` where the file cannot be written.
  func write(to path: String) throws { try writeFile(Data(html.utf8), to: path) }

  var html: String {
    var page = """
      <!doctype html>
      <html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
      <title>\(Self.escaped(recipe.name)): the data</title>
      <style>
      :root { color-scheme: light dark; --line: #8885; --muted: #888 }
      body { font: 15px/1.45 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem }
      table { border-collapse: collapse; margin: 1rem 0 }
      td, th { padding: .25rem .9rem .25rem 0; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top }
      th:first-child { font-weight: 600 }
      .findings li { margin: .4rem 0 }
      section { break-inside: avoid; margin: 1.6rem 0 }
      h2, h3 { margin: 1.4rem 0 .4rem }
      figure { display: inline-block; margin: 0 1rem .8rem 0; break-inside: avoid }
      figure img { height: \(Self.height)px; margin-right: 2px; background: #8883 }
      figcaption, .muted { color: var(--muted); font-size: 12px; overflow-wrap: anywhere }
      @media print { body { max-width: none; margin: 0; font-size: 11px } figure img { height: 64px } }
      </style>
      <h1>\(Self.escaped(recipe.name)): the data</h1>
      <p class="muted">\(Self.escaped(shownPath(recipe.data.path)))</p>
      <table>

      """
    for (number, row) in report.rows.enumerated() {
      let cells = row.enumerated().map { column, text in
        number == 0 || column == 0 ? "<th>\(Self.escaped(text))</th>" : "<td>\(Self.escaped(text))</td>"
      }
      page += "<tr>\(cells.joined())</tr>\n"
    }
    page += "</table>\n"
    if !report.findings.isEmpty {
      page += "<h2>To see to</h2>\n<ul class=\"findings\">\n"
      for finding in report.findings { page += "<li>\(Self.escaped(finding))</li>\n" }
      page += "</ul>\n"
    }
    for list in report.leftOut {
      page += "<h2>Left out of \(Self.escaped(list.list))</h2>\n<table>\n<tr><th>clips</th><th>reason</th></tr>\n"
      for (reason, clips) in list.reasons.prefix(100) {
        page += "<tr><td>\(clips)</td><td>\(Self.escaped(reason))</td></tr>\n"
      }
      page += "</table>\n"
    }
    page += "<h2>Training clips</h2>\n"
    if unseen > 0 { page += "<p class=\"muted\">\(unseen) more classes are not shown.</p>\n" }
    for number in classes.indices {
      guard let sheets = sheets[number] else { continue }
      page +=
        "<section><h3>\(Self.escaped(classes[number])) <span class=\"muted\">\(counts[number]) clips</span></h3>\n"
      for sheet in sheets { page += figure(sheet) }
      page += "</section>\n"
    }
    return page + "</html>\n"
  }

  private func figure(_ sheet: Sheet) -> String {
    let turn = sheet.rotation == 0 ? "" : " style=\"rotate: \(sheet.rotation)deg\""
    let images = sheet.pictures.map { picture in
      "<img alt=\"\"\(turn) src=\"data:image/jpeg;base64,\(picture.base64EncodedString())\">"
    }.joined()
    let clip = sheet.clip
    let size = clip.width > 0 ? ", \(clip.width)x\(clip.height)" : ""
    let text = sheet.problem.isEmpty ? "\(clip.id), \(clip.frames) frames\(size)" : "\(clip.id): \(sheet.problem)"
    return "<figure>\(images)<figcaption>\(Self.escaped(text))</figcaption></figure>\n"
  }

  private static func escaped(_ text: String) -> String {
    var result = ""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "&": result += "&amp;"
      case "<": result += "&lt;"
      case ">": result += "&gt;"
      case "\"": result += "&quot;"
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result
  }
}
