import Testing

@testable import Video

@Suite struct PacketIndexTests {
  /// Two groups in the order of decoding: I P b b | I (leading b) P.
  private let facts = [
    PacketFacts(pts: 0, dts: -2, isEntry: true), PacketFacts(pts: 3, dts: -1, isEntry: false),
    PacketFacts(pts: 1, dts: 0, isEntry: false), PacketFacts(pts: 2, dts: 1, isEntry: false),
    PacketFacts(pts: 5, dts: 2, isEntry: true), PacketFacts(pts: 4, dts: 3, isEntry: false),
    PacketFacts(pts: 6, dts: 4, isEntry: false),
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
    #expect(index.runs(for: [5]).map(\.packets) == [4...4])
    #expect(index.runs(for: [6]).map(\.packets) == [4...6])
    #expect(index.runs(for: [4]).map(\.packets) == [0...5])
    #expect(index.runs(for: [0, 6]).map(\.packets) == [0...0, 4...6])
    #expect(index.runs(for: [6, 3, 5]).map(\.packets) == [0...1, 4...6])
    #expect(index.runs(for: [4, 6]).map(\.packets) == [0...6])
  }

  @Test("timestamps that are missing, repeated or go back are not trusted, nor a start without key frame")
  func doubts() {
    #expect(PacketIndex(facts).doubt == nil)
    let damage: [(inout [PacketFacts]) -> Void] = [
      { $0[3].pts = nil }, { $0[3].pts = 1 }, { $0[0].isEntry = false }, { $0[3].dts = -5 }, { $0 = [] },
    ]
    for change in damage {
      var copy = facts
      change(&copy)
      #expect(PacketIndex(copy).doubt != nil)
    }
  }
}
