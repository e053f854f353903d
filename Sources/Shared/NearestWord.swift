// Suggests the word that a mistyped one was meant to be.

/// The word of `words` that is fewest typing errors away from `word`, if that is near enough to be meant.
/// - Returns: nil if more than half of the word would have to change.
public func nearest(to word: String, of words: [String]) -> String? {
  let ranked = words.map { (word: $0, distance: editDistance(word.lowercased(), $0)) }
  guard let best = ranked.min(by: { $0.distance < $1.distance }) else { return nil }
  return best.distance <= max(1, best.word.count / 2) ? best.word : nil
}

/// Characters to add, remove or replace to make one word of the other (Levenshtein's distance).
private func editDistance(_ a: String, _ b: String) -> Int {
  let (a, b) = (Array(a.prefix(64)), Array(b))
  var row = Array(0...b.count)
  for i in a.indices {
    var diagonal = row[0]
    row[0] = i + 1
    for j in b.indices {
      let replaced = diagonal + (a[i] == b[j] ? 0 : 1)
      diagonal = row[j + 1]
      row[j + 1] = min(replaced, row[j] + 1, row[j + 1] + 1)
    }
  }
  return row[b.count]
}
