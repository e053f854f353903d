import CKernels
import Shared
import Testing

@testable import Ring

@Suite struct KernelTests {
  @Test("kernels for this CPU give the bits of those for the lowest level")
  func clones() {
    var random = Philox(seed: 6, .selfTest)
    for count in Array(0...40) + [255, 256, 257, 1000, 4099] {
      let gradient = (0..<count).map { _ in
        let sign: Float = random.below(2) == 0 ? 1 : -1
        return Float(sign: .plus, exponent: random.below(60) - 30, significand: sign * Float(random.unit()))
      }
      var quantiser = tamring_ring_quantiser(
        inverse_scale: 1024, limit: 1e8, key: random.next(), tensor: 3, lane: 4, step: 5, first: 0, past_caches: false)
      var plain = [Int32](repeating: 0, count: count)
      for add in [false, true] {
        var fast = [Int32](repeating: 17, count: count)
        plain = fast
        let largest = tamring_ring_quantise(gradient, count, &quantiser, add, &fast)
        #expect(largest == tamring_ring_quantise_plain(gradient, count, &quantiser, add, &plain))
        #expect(largest == gradient.map(\.magnitude).max()?.bitPattern ?? 0)
        #expect(fast == plain)
        // Past the caches, where the sums lie as that needs it.
        quantiser.past_caches = true
        let aligned = AlignedStorage<Int32>(repeatElement(17, count: count))
        #expect(tamring_ring_quantise(gradient, count, &quantiser, add, aligned.base) == largest)
        #expect(aligned.array == plain)
        quantiser.past_caches = false
        // In pieces, as threads share it.
        let cut = count / 16 * 8
        var pieces = [Int32](repeating: 17, count: count)
        var rest = Array(pieces[cut...])
        quantiser.first = 0
        let before = tamring_ring_quantise(gradient, cut, &quantiser, add, &pieces)
        quantiser.first = UInt64(cut)
        let behind = tamring_ring_quantise(Array(gradient[cut...]), count - cut, &quantiser, add, &rest)
        quantiser.first = 0
        #expect(max(before, behind) == largest && pieces[..<cut] + rest == fast[...])
      }

      let words = (0..<count).map { _ in Int32(truncatingIfNeeded: random.next()) }
      let longs = (0..<count).map { _ in Int64(bitPattern: random.next()) }
      #expect(tamring_ring_sum_squares(words, count) == tamring_ring_sum_squares_plain(words, count))
      #expect(tamring_ring_checksum32(words, 5, count) == tamring_ring_checksum32_plain(words, 5, count))
      let (small, large) = (words.map { $0 >> 16 }, words.map { ($0 >> 16) * 2 })
      var shorts = [Int16](repeating: 1, count: count)
      #expect(tamring_ring_shorten32(small, count, &shorts) && shorts == small.map { Int16($0) })
      #expect(tamring_ring_shorten32_plain(small, count, &shorts) && shorts == small.map { Int16($0) })
      let fits = large.allSatisfy { Int16(exactly: $0) != nil }
      var ignored = shorts
      #expect(tamring_ring_shorten32(large, count, &ignored) == fits)
      #expect(tamring_ring_shorten32_plain(large, count, &ignored) == fits)
      for pastCaches in [false, true] {
        let sums = AlignedStorage<Int32>(count: count)
        tamring_ring_add16(sums.base, words, shorts, count, pastCaches)
        #expect(sums.array == zip(words, small).map { $0 &+ $1 })
        tamring_ring_add16_plain(sums.base, nil, shorts, count, pastCaches)
        #expect(sums.array == small)
        tamring_ring_add32(sums.base, words, small, count, pastCaches)
        #expect(sums.array == zip(words, small).map { $0 &+ $1 })
      }
      let padded = (count + 255) / 256 * 256
      var planes = [UInt8](repeating: 1, count: 4 * padded)
      var plainPlanes = [UInt8](repeating: 2, count: 4 * padded)
      tamring_ring_shuffle32(words, count, &planes)
      tamring_ring_shuffle32_plain(words, count, &plainPlanes)
      #expect(planes == plainPlanes)
      tamring_ring_unshuffle32_plain(planes, count, &plain)
      #expect(plain == words)
      planes = [UInt8](repeating: 1, count: 8 * padded)
      plainPlanes = [UInt8](repeating: 2, count: 8 * padded)
      tamring_ring_shuffle64(longs, count, &planes)
      tamring_ring_shuffle64_plain(longs, count, &plainPlanes)
      #expect(planes == plainPlanes)
      var back = [Int64](repeating: 0, count: count)
      tamring_ring_unshuffle64_plain(planes, count, &back)
      #expect(back == longs)
    }
  }

  @Test("plane b holds bit b of the zigzag values")
  func planes() {
    var values = [Int32](repeating: 0, count: 256)
    values[19] = -3  // zigzag 5: bits 0 and 2; value 19 is bit 19 / 8 of word 19 % 8
    var planes = [UInt8](repeating: 0, count: 1024)
    tamring_ring_shuffle32(values, 256, &planes)
    var expected = [UInt8](repeating: 0, count: 1024)
    for plane in [0, 2] { expected[32 * plane + 4 * 3] = 1 << 2 }
    #expect(planes == expected)
  }

  @Test("checksums of partials add up to the checksum of the sum, and notice one changed value")
  func linear() {
    var random = Philox(seed: 8, .selfTest)
    let partials = (0..<3).map { _ in randomVectors(1001, 17, &random) }
    let (gradients, statistics) = exactSum(partials)
    let sum = IntegerVectors(gradientCount: 1001, statisticCount: 17)
    for (i, value) in gradients.enumerated() { sum.gradients[i] = value }
    for (i, value) in statistics.enumerated() { sum.statistics[i] = value }
    let total = partials.reduce(UInt64(0)) { $0 &+ $1.linearChecksum() }
    #expect(total == sum.linearChecksum())
    let digest = sum.digest()
    sum.gradients[500] += 1
    #expect(total != sum.linearChecksum() && digest != sum.digest())
    sum.gradients[500] -= 1
    sum.statistics[3] ^= 1 << 40
    #expect(total != sum.linearChecksum() && digest != sum.digest())
  }
}
