// How a class ranks among a network's scores.

/// How many classes rank above `label`: 0 if it is the first choice. Of equal scores, the class with the lower number
/// ranks higher. Nil where a score is not a number: such scores have no order.
public func rank(of label: Int, in scores: [Float]) -> Int? {
  guard scores.indices.contains(label), !scores.contains(where: \.isNaN) else { return nil }
  return scores.indices.count { scores[$0] > scores[label] || (scores[$0] == scores[label] && $0 < label) }
}

/// The cross-entropy of `label` under the softmax of `scores`, in nats: `log Σ e^(sᵢ − max s) + max s − s[label]`. The
/// same bits on every machine. Not a number where the scores have no softmax.
public func crossEntropy(of label: Int, in scores: [Float]) -> Double {
  let top = Double(scores.max() ?? 0)
  let sum = scores.reduce(0.0) { $0 + PortableMath.exp(Double($1) - top) }
  guard scores.indices.contains(label), sum.isNormal else { return .nan }
  return PortableMath.log(sum) + top - Double(scores[label])
}
