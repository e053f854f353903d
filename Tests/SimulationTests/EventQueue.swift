// What will happen when: a binary heap of events by time, then by the order in which they were added.

/// Nanoseconds of simulated time.
typealias Nanoseconds = Int64

struct EventQueue<Element> {
  private struct Entry {
    var time: Nanoseconds
    var order: UInt64
    var slot: Int32

    static func < (a: Entry, b: Entry) -> Bool { a.time != b.time ? a.time < b.time : a.order < b.order }
  }

  private var heap: [Entry] = []
  /// The elements lie still, so that the heap moves little.
  private var slots: [Element?] = []
  private var free: [Int32] = []
  private var added: UInt64 = 0

  var isEmpty: Bool { heap.isEmpty }

  /// - Parameters:
  ///   - order: of an event that was taken out and is put back.
  ///   - last: after everything else of that time.
  mutating func add(_ element: Element, at time: Nanoseconds, order: UInt64? = nil, last: Bool = false) {
    added += 1
    let slot: Int32
    if let reused = free.popLast() {
      slot = reused
      slots[Int(slot)] = element
    } else {
      slot = Int32(slots.count)
      slots.append(element)
    }
    heap.append(Entry(time: time, order: order ?? (last ? added | 1 << 63 : added), slot: slot))
    var child = heap.count - 1
    while child > 0, case let parent = (child - 1) / 2, heap[child] < heap[parent] {
      heap.swapAt(child, parent)
      child = parent
    }
  }

  mutating func next() -> (time: Nanoseconds, order: UInt64, element: Element)? {
    guard let first = heap.first, let element = slots[Int(first.slot)], let last = heap.popLast() else { return nil }
    slots[Int(first.slot)] = nil
    free.append(first.slot)
    if !heap.isEmpty {
      heap[0] = last
      var parent = 0
      while true {
        var least = 2 * parent + 1
        if least >= heap.count { break }
        if least + 1 < heap.count, heap[least + 1] < heap[least] { least += 1 }
        guard heap[least] < heap[parent] else { break }
        heap.swapAt(parent, least)
        parent = least
      }
    }
    return (first.time, first.order, element)
  }
}
