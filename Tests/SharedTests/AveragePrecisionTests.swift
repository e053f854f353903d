import Shared
import Testing

@Suite struct AveragePrecisionTests {
  private func isNear(_ found: Int64?, _ expected: Double, units: Double = 1) -> Bool {
    guard let found else { return false }
    return abs(Double(found) - expected * Double(AveragePrecision.one)) <= units
  }

  /// By hand, from the definition in scikit-learn's documentation of `average_precision_score`, whose example is the
  /// first.
  @Test("the average precision is scikit-learn's: not interpolated, and clips of equal scores are found together")
  func byHand() {
    for (scores, isOfClass, expected) in [
      ([0.1, 0.4, 0.35, 0.8], [false, false, true, true], 0.5 + 0.5 * 2 / 3),
      // All are found at once, whatever their order.
      ([1, 1, 1, 1], [true, false, false, true], 0.5),
      ([2, 1, 1, 0], [false, true, false, true], 0.5 * 1 / 3 + 0.5 * 2 / 4),
      ([0, -0.0, 1], [true, false, false], 1.0 / 3),
      ([3, 2, 1], [true, true, false], 1), ([1, 2, 3], [true, false, false], 1.0 / 3),
      ([.infinity, 0, -.infinity], [false, false, true], 1.0 / 3),
      // The second clip of the class is never found.
      ([2, .nan, 1], [true, true, false], 0.5), ([.nan, .nan], [true, false], 0),
    ] as [([Float], [Bool], Double)] {
      let found = AveragePrecision.ofClass(scores, isOfClass)
      #expect(isNear(found, expected), "\(scores) \(isOfClass): \(String(describing: found))")
    }
    #expect(AveragePrecision.ofClass([1, 2], [false, false]) == nil && AveragePrecision.ofClass([], []) == nil)
  }

  @Test("it is the sum of the definition over the thresholds, for scores with many ties")
  func definition() {
    var random = Philox(seed: 5, .epochOrder)
    for round in 1...40 {
      let count = 1 + random.below(60)
      let scores = (0..<count).map { _ in Float(random.below(1 + round % 9)) }
      let isOfClass = (0..<count).map { _ in random.below(3) == 0 }
      let positives = isOfClass.count(where: \.self)
      guard positives > 0 else { continue }
      var (sum, recall) = (0.0, 0.0)
      for threshold in Set(scores).sorted(by: >) {
        let found = scores.indices.filter { scores[$0] >= threshold }
        let right = found.count { isOfClass[$0] }
        let next = Double(right) / Double(positives)
        sum += (next - recall) * Double(right) / Double(found.count)
        recall = next
      }
      #expect(isNear(AveragePrecision.ofClass(scores, isOfClass), sum), "round \(round)")
    }
  }

  @Test("the mean is over the classes that clips have, and no order of the clips changes a digit")
  func mean() {
    let scores: [[Float]] = [[1, 0, 7, 2], [0.5, 3, 7, 1], [0, 2, 8, 0], [2, 1, 0, 1]]
    let labels = [[0], [0, 1], [1, 3], []]
    let found = AveragePrecision.ofClasses(scores, labels)
    #expect(found.map { $0 == nil } == [false, false, true, false])
    let expected = [(0.5 * 1 / 2 + 0.5 * 2 / 3), 1, 1.0 / 4]
    #expect(isNear(AveragePrecision.mean(found), expected.reduce(0, +) / 3, units: 2))
    for order in [[3, 2, 1, 0], [1, 3, 0, 2]] {
      #expect(AveragePrecision.ofClasses(order.map { scores[$0] }, order.map { labels[$0] }) == found)
    }
    #expect(AveragePrecision.mean([]) == 0 && AveragePrecision.mean([nil]) == 0)
    #expect(AveragePrecision.mean([1, 2]) == 2 && AveragePrecision.ofClasses([], []).isEmpty)
    // Many clips overflow nothing.
    let many = [Float](repeating: 1, count: 1 << 20)
    #expect(AveragePrecision.ofClass(many, many.map { _ in true }) == AveragePrecision.one)
  }
}
