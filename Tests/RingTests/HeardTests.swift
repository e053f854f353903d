import Ring
import Testing

@Suite struct HeardTests {
  @Test("the least code has the least directive, and is even if any rank hears no coordinator")
  func least() {
    // All have carried out directive 3; one that hears no coordinator agrees to nothing newer.
    let alone = Heard(directive: 3, coordinator: false)
    let others = [3, 4, 7].map { Heard(directive: $0, coordinator: true) }
    #expect(Heard(code: others.map(\.code).min() ?? 0) == Heard(directive: 3, coordinator: true))
    #expect(Heard(code: (others + [alone]).map(\.code).min() ?? 0) == alone)
    #expect(Heard(code: others.dropFirst().map(\.code).min() ?? 0) == Heard(directive: 4, coordinator: true))
    let largest = Heard(directive: 1 << 53, coordinator: true)
    #expect(Heard(code: largest.code) == largest)
  }
}
