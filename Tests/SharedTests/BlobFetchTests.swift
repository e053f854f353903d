// Fetching a blob: in place, no longer than it was described, and only what was asked for.
import Foundation
import Glibc
import Shared
import Testing

@Suite struct BlobFetchTests {
  /// How the loops keep a fetch: copied whenever a message comes.
  private struct Holder {
    var waiting: [BlobFetch]
  }

  private func description(_ data: Data) -> BlobDescription {
    BlobDescription(name: "b", bytes: data.count, digest: Digest128(of: data))
  }

  /// Seconds of this thread's processor for a blob of `count` pieces of 16 KiB.
  private func cost(pieces count: Int) throws -> Double {
    let size = 16 << 10
    let whole = Data(repeating: 7, count: count * size)
    let described = description(whole)
    let piece = Data(repeating: 7, count: size)
    var holder = Holder(waiting: [BlobFetch("b")])
    var start = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &start)
    var outcome = BlobFetch.Outcome.ignored
    for number in 0..<count {
      let copy = holder
      outcome = copy.waiting[0].take(BlobPiece(name: "b", offset: number * size, description: described), piece)
      holder = copy
    }
    var end = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &end)
    #expect(outcome == .done(whole))
    return Double(end.tv_sec - start.tv_sec) + Double(end.tv_nsec - start.tv_nsec) * 1e-9
  }

  @Test("a blob of eight times as many pieces costs some eight times as much, not sixty-four times")
  func linear() throws {
    _ = try cost(pieces: 64)
    let ratio = try (cost(pieces: 4096)) / cost(pieces: 512)
    #expect(ratio < 24, "\(ratio)")
  }

  @Test("more bytes than described, a description that is too long or negative, and a damaged blob are refused")
  func refused() {
    let data = Data(repeating: 1, count: 10)
    let good = description(data)
    func outcome(_ description: BlobDescription, _ bytes: Data, limit: Int = 100) -> BlobFetch.Outcome {
      BlobFetch("b", limit: limit).take(BlobPiece(name: "b", offset: 0, description: description), bytes)
    }
    func failed(_ outcome: BlobFetch.Outcome) -> Bool { if case .failed = outcome { true } else { false } }
    #expect(outcome(good, data) == .done(data))
    #expect(failed(outcome(good, data + [1])))
    #expect(failed(outcome(good, data, limit: 9)))
    #expect(failed(outcome(good, Data(repeating: 2, count: 10))))
    #expect(failed(outcome(good, Data())))
    for bytes in [-1, Int.min, Int.max, 101] {
      #expect(failed(outcome(BlobDescription(name: "b", bytes: bytes, digest: good.digest), data)))
    }
  }

  @Test("pieces of another blob or place are ignored, one without a description is asked for later")
  func ignored() {
    let data = Data(repeating: 1, count: 10)
    let fetch = BlobFetch("b")
    #expect(fetch.take(BlobPiece(name: "c", offset: 0, description: description(data)), data) == .ignored)
    for offset in [-1, 1, Int.max, Int.min] {
      #expect(fetch.take(BlobPiece(name: "b", offset: offset, description: description(data)), data) == .ignored)
    }
    #expect(fetch.take(BlobPiece(name: "b", offset: 0, description: nil), nil) == .notYet)
    let piece = BlobPiece(name: "b", offset: 0, description: description(data))
    #expect(fetch.take(piece, data.prefix(4)) == .more(BlobRequest(name: "b", offset: 4)))
    #expect(fetch.take(piece, data.prefix(4)) == .ignored)
    #expect(fetch.request.offset == 4)
  }
}
