import Dataset
import Testing

@Suite struct ValidationSampleTests {
  @Test("a sample has so many different clips, ascending, the same for the same seed")
  func sample() {
    let sample = validationSample(of: 1000, wanted: 40, seed: 3)
    #expect(sample.count == 40 && sample == Set(sample).sorted() && sample.allSatisfy { (0..<1000).contains($0) })
    #expect(sample == validationSample(of: 1000, wanted: 40, seed: 3))
    #expect(sample != validationSample(of: 1000, wanted: 40, seed: 4))
    // A part of a larger one, since both begin the same permutation.
    #expect(Set(sample).isSubset(of: validationSample(of: 1000, wanted: 41, seed: 3)))
    #expect(sample.contains { $0 > 500 } && sample.contains { $0 < 500 })
  }

  @Test("0, or no fewer than there are, are all", arguments: [0, 5, 6, 1_000_000_000])
  func all(wanted: Int) {
    #expect(validationSample(of: 5, wanted: wanted, seed: 1) == [0, 1, 2, 3, 4])
    #expect(validationSample(of: 0, wanted: wanted, seed: 1) == [])
  }
}
