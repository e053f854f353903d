import Foundation
import Messaging
import Shared
import Testing

@testable import Wire

@Suite struct BlobTransferTests {
  private let size = BlobPiece.most
  private let bytes = Data((0..<12 * BlobPiece.most + 5).map { UInt8(truncatingIfNeeded: $0 >> 9) })
  private var store = BlobStore()
  private let whole: BlobDescription

  init() { whole = store.put("blob", bytes) }

  private func piece(_ offset: Int) -> BlobPiece { BlobPiece(name: "blob", offset: offset, description: whole) }

  @Test("eight pieces are on their way at a time, and all bytes come in order, each once")
  func window() {
    var transfer = BlobTransfer("blob")
    var waiting = transfer.requests(again: false)
    #expect(waiting.map(\.offset) == [0])
    var (received, most) = (Data(), 0)
    while !waiting.isEmpty {
      let (piece, payload) = store.answer(waiting.removeFirst())
      let outcome = transfer.take(piece, bytes: payload?.count)
      received += payload ?? Data()
      if case .last = outcome { break }
      waiting += transfer.requests(again: false)
      most = max(most, waiting.count)
    }
    #expect(received == bytes && waiting.isEmpty && most == 8)
  }

  @Test("what was lost is asked for again, and what came after it is not taken before it")
  func loss() {
    var transfer = BlobTransfer("blob")
    _ = transfer.requests(again: false)
    _ = transfer.take(piece(0), bytes: size)
    #expect(transfer.requests(again: false).map(\.offset) == (1...8).map { $0 * size })
    guard case .ignored = transfer.take(piece(2 * size), bytes: size) else { return #expect(Bool(false)) }
    #expect(transfer.requests(again: false).isEmpty)
    #expect(transfer.requests(again: true).map(\.offset) == (1...8).map { $0 * size })
    #expect(transfer.received == size)
  }

  @Test("a piece that is shorter than it must be, or longer than what is left, ends the transfer")
  func sizes() {
    for wrong in [0, 1, size - 1, size + 1] {
      var transfer = BlobTransfer("blob")
      guard case .failed = transfer.take(piece(0), bytes: wrong) else { return #expect(Bool(false), "\(wrong) bytes") }
    }
  }

  @Test("where another blob takes the name, the transfer begins anew")
  func replaced() {
    var transfer = BlobTransfer("blob")
    _ = transfer.requests(again: false)
    _ = transfer.take(piece(0), bytes: size)
    var other = piece(size)
    other.description?.digest = Digest128(high: 1, low: 1)
    guard case .restart = transfer.take(other, bytes: size) else { return #expect(Bool(false)) }
    #expect(transfer.requests(again: false).map(\.offset) == [0])
  }

  @Test("an empty blob is complete with its only, empty piece")
  func empty() {
    var transfer = BlobTransfer("blob")
    let none = BlobDescription(name: "blob", Data())
    guard case .last = transfer.take(BlobPiece(name: "blob", offset: 0, description: none), bytes: 0) else {
      return #expect(Bool(false))
    }
  }
}
