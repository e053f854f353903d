// How classes rank among a network's scores, and the losses that follow from them.

/// How many classes rank above `label`: 0 if it is the first choice. Of equal scores, the class with the lower number
/// ranks higher. Nil where a score is not a number: such scores have no order.
public func rank(of label: Int, in scores: [Float]) -> Int? {
  guard scores.indices.contains(label), !scores.contains(where: \.isNaN) else { return nil }
  return scores.indices.count { scores[$0] > scores[label] || (scores[$0] == scores[label] && $0 < label) }
}

/// How the class of `labels` that ranks highest ranks.
public func rank(ofAny labels: [Int], in scores: [Float]) -> Int? {
  labels.compactMap { rank(of: $0, in: scores) }.min()
}

/// The cross-entropy of `label` under the softmax of `scores`, in nats: `log Σ e^(sᵢ − max s) + max s − s[label]`. The
/// same bits on every machine. Not a number where the scores have no softmax.
public func crossEntropy(of label: Int, in scores: [Float]) -> Double {
  let top = Double(scores.max() ?? 0)
  let sum = scores.reduce(0.0) { $0 + PortableMath.exp(Double($1) - top) }
  guard scores.indices.contains(label), sum.isNormal else { return .nan }
  return PortableMath.log(sum) + top - Double(scores[label])
}

/// 1 / (1 + e^−x): the same bits on every machine.
public func sigmoid(_ x: Double) -> Double {
  let power = PortableMath.exp(-x.magnitude)
  return (x < 0 ? power : 1) / (1 + power)
}

/// −t · log σ(x) − (1 − t) · log(1 − σ(x)), in nats, as max(x, 0) − x · t + log(1 + e^−|x|). The same bits on every
/// machine. Not a number where x is not finite.
public func binaryCrossEntropy(_ x: Double, _ target: Double) -> Double {
  guard x.isFinite else { return .nan }
  return max(x, 0) - x * target + PortableMath.log(1 + PortableMath.exp(-x.magnitude))
}

/// The mean over all classes of the binary cross-entropy, of a clip that has the classes `labels`.
public func binaryCrossEntropy(of labels: [Int], in scores: [Float]) -> Double {
  var sum = 0.0
  for (c, score) in scores.enumerated() { sum += binaryCrossEntropy(Double(score), labels.contains(c) ? 1 : 0) }
  return sum / Double(scores.count)
}
