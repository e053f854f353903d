// What prediction makes of logits.
import Testing

@testable import Training

@Suite struct ProbabilityTests {
  @Test("probabilities are the softmax of the views' mean, as NumPy computes it")
  func softmax() {
    // x = numpy.array([3, -1, 2.5]) / 2; numpy.exp(x) / numpy.exp(x).sum()
    let expected = [0.5224289002, 0.0707030632, 0.4068680366]
    for (value, wanted) in zip(TrainedModel.probabilities([3, -1, 2.5], views: 2, .softmax), expected) {
      #expect(abs(value - wanted) < 1e-9)
    }
  }
}
