import Testing

@testable import Shared

@Suite struct PhiloxTests {
  @Test("the same coordinates give the same numbers, others give others")
  func pureFunction() {
    var a = Philox(seed: 7, .epochOrder, 1, 2)
    var b = Philox(seed: 7, .epochOrder, 1, 2)
    var c = Philox(seed: 7, .epochOrder, 2, 1)
    let first = (0..<9).map { _ in a.nextWord() }
    #expect(first == (0..<9).map { _ in b.nextWord() })
    #expect(first != (0..<9).map { _ in c.nextWord() })
  }

  @Test("a permutation holds every index once")
  func permutation() {
    var generator = Philox(seed: 1, .epochOrder)
    for count in [0, 1, 2, 5, 100] { #expect(generator.permutation(count).sorted() == Array(0..<count)) }
  }
}
