// Which clips an epoch draws, each once or by class.
import Shared
import Testing

@testable import Dataset

@Suite struct EpochOrdersTests {
  @Test("without balance, an epoch's order is the permutation that it always was")
  func plain() throws {
    let orders = try EpochOrders(seed: 4, count: 100, labels: nil)
    #expect(orders.order(epoch: 3) == EpochOrder(seed: 4, epoch: 3, count: 100))
  }

  @Test(
    "a balanced epoch draws each class alike, each clip of a class alike, and no draw twice",
    arguments: [[10, 3, 1, 26], [1, 1], [5], [4, 4, 4], [1, 0, 7]])
  func balanced(_ sizes: [Int]) throws {
    let labels = sizes.enumerated().flatMap { [Int](repeating: $0, count: $1) }
    let count = labels.count
    let orders = try EpochOrders(seed: 4, count: count, labels: labels)
    var seen: Set<[UInt32]> = []
    var drawn: Set<Int> = []
    for epoch in 0..<40 {
      let order = orders.order(epoch: epoch)
      #expect(order == orders.order(epoch: epoch))
      seen.insert(order.clips)
      let draws = order.clips.map { Int($0) }
      #expect(draws.count == count && Set(draws).count == count)
      let clips = draws.map { $0 % count }
      drawn.formUnion(clips)
      let present = sizes.indices.filter { sizes[$0] > 0 }
      let perClass = present.map { label in clips.count { labels[$0] == label } }
      #expect(Set(perClass).isSubset(of: [count / present.count, count / present.count + 1]))
      for label in present {
        let perClip = labels.indices.filter { labels[$0] == label }.map { clip in clips.count { $0 == clip } }
        #expect((perClip.max() ?? 0) - (perClip.min() ?? 0) <= 1)
      }
      // Each occurrence comes with those before it.
      #expect(draws.allSatisfy { $0 < count || draws.contains($0 - count) })
    }
    #expect(drawn.count == count && (seen.count == 40 || count < 6))
  }

  @Test("a class with too few clips for the numbers of its draws is refused")
  func tooFew() {
    let labels = [Int](repeating: 0, count: 99_999) + [1]
    let error = #expect(throws: DatasetError.self) { try EpochOrders(seed: 1, count: labels.count, labels: labels) }
    #expect(error?.description.contains("data.balanced: a class has 1 of 100000 clips") == true)
  }
}
