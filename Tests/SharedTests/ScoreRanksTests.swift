import Shared
import Testing

@Suite struct ScoreRanksTests {
  @Test("a class's rank counts the classes above it; of equal scores, the lower number is above")
  func ranks() {
    let scores: [Float] = [0.5, 2, 2, -1]
    #expect((0..<4).map { rank(of: $0, in: scores) } == [2, 0, 1, 3])
    #expect(rank(of: 0, in: [1, .nan]) == nil && rank(of: 4, in: scores) == nil && rank(of: 0, in: []) == nil)
    #expect(rank(of: 1, in: [0, .infinity]) == 0)
  }

  @Test("of several classes the one that ranks highest counts")
  func rankOfAny() {
    #expect(rank(ofAny: [0, 3], in: [0.5, 2, 2, -1]) == 2 && rank(ofAny: [], in: [1]) == nil)
    #expect(rank(ofAny: [0, 1], in: [1, .nan]) == nil)
  }

  /// torch.nn.functional.binary_cross_entropy_with_logits(
  ///   torch.tensor(scores, dtype=torch.float64), torch.tensor(targets, dtype=torch.float64)).item()
  @Test("the binary loss is PyTorch's, and does not overflow")
  func binaryLoss() {
    for (scores, labels, expected) in [
      ([0.5, 2, 2, -1], [0, 3], 1.5102986734460688), ([0.5, 2, 2, -1], [], 1.3852986734460688),
      ([1000, -1000], [1], 1000), ([3], [0], 0.04858735157374206),
    ] as [([Float], [Int], Double)] {
      #expect(abs(binaryCrossEntropy(of: labels, in: scores) - expected) <= 1e-12 * max(1, expected))
    }
    #expect(binaryCrossEntropy(of: [0], in: [.nan, 1]).isNaN && binaryCrossEntropy(of: [0], in: [.infinity]).isNaN)
    #expect(sigmoid(0) == 0.5 && sigmoid(-1000) == 0 && sigmoid(1000) == 1)
    #expect(abs(sigmoid(-2) - 0.11920292202211755) < 1e-15 && abs(sigmoid(2) - 0.8807970779778823) < 1e-15)
  }

  /// torch.nn.functional.cross_entropy(torch.tensor([scores], dtype=torch.float64), torch.tensor([label])).item()
  @Test("the loss is PyTorch's cross-entropy")
  func loss() {
    for (scores, label, expected) in [
      ([0.5, 2, 2, -1], 0, 2.3210641291243403), ([0.5, 2, 2, -1], 3, 3.8210641291243403),
      ([1000, -1000], 1, 2000), ([3], 0, 0),
    ] as [([Float], Int, Double)] {
      #expect(abs(crossEntropy(of: label, in: scores) - expected) <= 1e-12 * max(1, expected))
    }
    #expect(crossEntropy(of: 0, in: [.nan, 1]).isNaN && crossEntropy(of: 1, in: [1]).isNaN)
    #expect(!(crossEntropy(of: 0, in: [.infinity, 1]) < 1024))
  }
}
