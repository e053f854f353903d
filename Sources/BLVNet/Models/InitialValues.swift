// The initial values of tensors: how they are declared, and how they are computed.
import CKernels
import Dispatch
import Shared

/// The initial values of one tensor.
public enum InitialValue: Sendable, Hashable {
  case constant(Float)
  /// Normally distributed around 0.
  case normal(deviation: Double)

  /// Normal with deviation √(2 / fanOut), `fanOut` being the outputs that one input reaches.
  /// **Source:** He et al., "Delving Deep into Rectifiers", ICCV 2015.
  static func normal(fanOut: Int) -> InitialValue { .normal(deviation: (2 / Double(fanOut)).squareRoot()) }
}

enum InitialValues {
  /// Fills the tensors in `storage`, on all cores of the processor. Each tensor has its own random stream, keyed by the
  /// seed and the tensor's index, so a tensor is one task.
  static func fill(_ storage: FloatStorage, _ tensors: [TensorSpec], seed: UInt64) {
    // Largest first, so that no core ends up alone with a large one.
    let order = tensors.indices.sorted { (tensors[$0].count, $1) > (tensors[$1].count, $0) }
    DispatchQueue.concurrentPerform(iterations: order.count) { place in
      let index = order[place]
      fill(storage, tensors[index], stream: UInt32(index), seed: seed)
    }
  }

  private static func fill(_ storage: FloatStorage, _ tensor: TensorSpec, stream: UInt32, seed: UInt64) {
    precondition(tensor.range.upperBound <= storage.count, "\(tensor.name) lies outside its storage")
    let values = unsafe storage.base + tensor.offset
    switch tensor.initial {
    case .constant(let value): unsafe values.update(repeating: value, count: tensor.count)
    case .normal(let deviation):
      unsafe tamring_fill_normal(
        Philox.key(seed: seed, .initialValues), stream, Int64(tensor.count), deviation, values)
    }
  }
}
