import Foundation
import Shared
import Testing

@Suite struct PortableMathTests {
  @Test("exp, log and cos agree with the C library's within a few units in the last place")
  func functions() {
    var random = Philox(seed: 1, .selfTest)
    for _ in 0..<20_000 {
      let x = random.unit() * 1390 - 690
      #expect(abs(PortableMath.exp(x) / exp(x) - 1) < 2e-15)
      let y = exp(random.unit() * 200 - 100)
      #expect(abs(PortableMath.log(y) - log(y)) <= 4e-16 * max(1, abs(log(y))))
      let z = random.unit()
      #expect(abs(PortableMath.cosPi(z) - cos(Double.pi * z)) < 4e-16)
    }
    #expect(PortableMath.exp(0) == 1 && PortableMath.exp(-1000) == 0 && PortableMath.exp(1000) == .infinity)
    #expect(PortableMath.log(1) == 0)
    #expect(PortableMath.cosPi(0) == 1 && PortableMath.cosPi(0.5) == 0 && PortableMath.cosPi(1) == -1)
  }
}
