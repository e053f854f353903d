import Testing

@testable import Video

@Suite struct PacketIndexTests {
  /// Two groups in the order of decoding: I P b b | I (leading b) P.
  private let facts = [
    PacketFacts(pts: 0, isEntry: true), PacketFacts(pts: 3, isEntry: false),
    PacketFacts(pts: 1, isEntry: false), PacketFacts(pts: 2, isEntry: false),
    PacketFacts(pts: 5, isEntry: true), PacketFacts(pts: 4, isEntry: false),
    PacketFacts(pts: 6, isEntry: false),
  ]

  @Test("frames are in the order of presentation, hidden ones left out")
  func order() {
    #expect(PacketIndex(facts).order == [0, 2, 3, 1, 5, 4, 6])
    var hidden = facts
    hidden[2].isHidden = true
    #expect(PacketIndex(hidden).order == [0, 3, 1, 5, 4, 6])
  }

  @Test("decoding starts at the nearest entry, but one earlier for what is shown before that entry")
  func runs() {
    let index = PacketIndex(facts)
    func runs(_ frames: [Int]) -> [ClosedRange<Int>] { index.runs(for: frames).map(\.packets) }
    #expect(runs([5]) == [4...4])
    #expect(runs([6]) == [4...6])
    #expect(runs([4]) == [0...5])
    #expect(runs([0, 6]) == [0...0, 4...6])
    #expect(runs([6, 3, 5]) == [0...1, 4...6])
    // Each entry point has a run of its own, as it was proved.
    #expect(runs([4, 6]) == [0...5, 4...6])
    #expect(index.runs(for: [4, 6]).map(\.frames) == [[5: 4], [6: 6]])
  }

  @Test("without usable timestamps frames have the order of their packets")
  func withoutTimes() {
    for change: (inout [PacketFacts]) -> Void in [{ $0[3].pts = nil }, { $0[3].pts = 1 }] {
      var copy = facts
      change(&copy)
      let index = PacketIndex(copy)
      #expect(!index.isByTime && index.order == [0, 1, 2, 3, 4, 5, 6] && index.doubt == nil)
      #expect(index.entry(for: 5) == 4)
    }
  }

  @Test("what an entry point behind it would miss, or a start without key frame, is a doubt at once")
  func doubts() {
    #expect(PacketIndex(facts).doubt == nil)
    let damage: [(inout [PacketFacts]) -> Void] = [
      { $0[0].isEntry = false }, { $0[0].changesDecoder = true }, { $0[5].changesDecoder = true }, { $0 = [] },
    ]
    for change in damage {
      var copy = facts
      change(&copy)
      #expect(PacketIndex(copy).doubt != nil)
    }
  }
}
