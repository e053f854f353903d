// Numbers that PyTorch computed; Fixtures/make_optimisation.py says how.
import Foundation
import Shared
import Testing

struct OptimisationFixture: Decodable {
  struct Run: Decodable {
    /// The parameters after each step.
    let after: [[Float]]
    /// Of the gradients, before clipping.
    let norms: [Double]
    let average: [Float]
  }

  struct LossCase: Decodable {
    let mixed: Bool
    let smoothing: Double
    let weighted: Bool
    let losses: [Double]
    let gradient: [Double]
  }

  struct Losses: Decodable {
    let logits: [Float]
    let labels: [Int]
    let other: [Int]
    let share: [Double]
    let weights: [Double]
    let cases: [LossCase]
    let weightedMean: Double
  }

  struct BinaryLosses: Decodable {
    struct Case: Decodable {
      let smoothing: Double
      let weighted: Bool
      let losses: [Double]
      let gradient: [Double]
    }

    let logits: [Float]
    let labels: [[Int]]
    let weights: [Double]
    let cases: [Case]
  }

  let start: [Float]
  let gradients: [[Float]]
  let adamw: Run
  let clipped: Run
  let notClipped: Run
  let average: Run
  let sgdGroups: Run
  let adamwGroups: Run
  let losses: Losses
  let binary: BinaryLosses

  static func read() throws -> OptimisationFixture {
    let url = try #require(Bundle.module.url(forResource: "Fixtures/optimisation", withExtension: "json"))
    return try JSONDecoder().decode(OptimisationFixture.self, from: Data(contentsOf: url))
  }
}

func expectClose(_ found: [Float], _ expected: [Float], _ what: String = "", within tolerance: Float = 2e-6) {
  #expect(found.count == expected.count)
  let wrong = zip(found, expected).enumerated().filter {
    !(abs($0.element.0 - $0.element.1) <= tolerance * max(1, abs($0.element.1)))
  }
  #expect(wrong.isEmpty, "\(what): \(wrong.count) of \(found.count) differ, first \(String(describing: wrong.first))")
}
