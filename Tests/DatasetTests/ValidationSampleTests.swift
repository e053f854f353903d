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

  @Test("the clips that batch norms are measured over are so many, each once, in groups of mixed order")
  func groups() {
    let groups = measuredGroups(of: 1000, wanted: 41, size: 4, seed: 3)
    #expect(groups.dropLast().allSatisfy { $0.count == 4 } && groups.last?.count == 1)
    #expect(Set(groups.joined()).count == 41 && groups.joined().allSatisfy { (0..<1000).contains($0) })
    #expect(groups == measuredGroups(of: 1000, wanted: 41, size: 4, seed: 3) && groups[0] != groups[0].sorted())
    #expect(measuredGroups(of: 5, wanted: 9, size: 2, seed: 1).joined().sorted() == [0, 1, 2, 3, 4])
    #expect(
      measuredGroups(of: 5, wanted: 0, size: 2, seed: 1) == []
        && measuredGroups(of: 0, wanted: 3, size: 2, seed: 1) == [])
  }
}
