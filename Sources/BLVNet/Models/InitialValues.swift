// The initial values of tensors: how they are declared, and how they are computed.
import CKernels
import Dispatch
import Shared

/// The initial values of one tensor.
public enum InitialValue: Sendable, Hashable {
  case constant(Float)
  /// Normally distributed around 0.
  case normal(deviation: Double)
  /// Uniformly distributed in ±bound.
  case uniform(bound: Double)

  /// Normal with deviation √(2 / fanOut), `fanOut` being the outputs that one input reaches.
  /// **Source:** He et al., "Delving Deep into Rectifiers", ICCV 2015.
  static func normal(fanOut: Int) -> InitialValue { .normal(deviation: (2 / Double(fanOut)).squareRoot()) }
}

enum InitialValues {
  /// Fills the tensors in `storage`, on all cores of the processor. Each tensor has its own random stream, keyed by the
  /// seed and the tensor's index, so a tensor is one task.
  static func fill(_ storage: FloatStorage, _ tensors: [TensorSpec], seed: UInt64) {
    forEach(tensors) { index, tensor in
      unsafe fill(place(of: tensor, in: storage), tensor.initial, stream: UInt32(index), seed: seed)
    }
  }

  /// The same for at most so many values of each tensor, which the rest of the tensor repeats; 1/8 for a constant 0.
  static func fill(_ storage: FloatStorage, _ tensors: [TensorSpec], seed: UInt64, samples: Int) {
    forEach(tensors) { index, tensor in
      let values = unsafe place(of: tensor, in: storage)
      let initial = tensor.initial == .constant(0) ? .constant(0.125) : tensor.initial
      let sample = unsafe UnsafeMutableBufferPointer(rebasing: values.prefix(samples))
      unsafe fill(sample, initial, stream: UInt32(index), seed: seed)
      for start in stride(from: sample.count, to: values.count, by: sample.count) {
        let end = min(start + sample.count, values.count)
        _ = unsafe values[start..<end].update(fromContentsOf: sample[..<(end - start)])
      }
    }
  }

  /// Largest first, so that no core ends up alone with a large one.
  private static func forEach(_ tensors: [TensorSpec], _ body: @Sendable (Int, TensorSpec) -> Void) {
    let order = tensors.indices.sorted { (tensors[$0].count, $1) > (tensors[$1].count, $0) }
    DispatchQueue.concurrentPerform(iterations: order.count) { body(order[$0], tensors[order[$0]]) }
  }

  private static func place(of tensor: TensorSpec, in storage: FloatStorage) -> UnsafeMutableBufferPointer<Float> {
    precondition(tensor.range.upperBound <= storage.count, "\(tensor.name) lies outside its storage")
    return unsafe UnsafeMutableBufferPointer(rebasing: storage.buffer[tensor.range])
  }

  private static func fill(
    _ values: UnsafeMutableBufferPointer<Float>, _ initial: InitialValue, stream: UInt32, seed: UInt64
  ) {
    switch initial {
    case .constant(let value): unsafe values.update(repeating: value)
    case .normal(let deviation):
      unsafe tamring_fill_normal(
        Philox.key(seed: seed, .initialValues), stream, Int64(values.count), deviation, values.baseAddress)
    case .uniform(let bound):
      unsafe tamring_fill_uniform(
        Philox.key(seed: seed, .initialValues), stream, Int64(values.count), bound, values.baseAddress)
    }
  }
}
