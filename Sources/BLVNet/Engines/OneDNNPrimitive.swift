// One convolution of oneDNN, made once and shared by all lanes.
import CKernels
import COneDNN
import Shared
import Synchronization

/// The primitives of an engine, by shape, number of images and direction.
final class PrimitiveCache: Sendable {
  private struct Key: Hashable {
    var shape: ConvolutionShape
    var images: Int
    var direction: UInt32
    var epilogue: EpilogueKind?
  }

  private let bf16: Bool
  private let primitives = Mutex<[Key: Primitive]>([:])

  init(bf16: Bool) { self.bf16 = bf16 }

  /// - Parameter epilogue: of the forward pass.
  func find(
    _ shape: ConvolutionShape, _ images: Int, _ direction: tamring_dnn_direction, epilogue: EpilogueKind? = nil
  ) -> Primitive {
    let key = Key(shape: shape, images: images, direction: direction.rawValue, epilogue: epilogue)
    if let made = primitives.withLock({ $0[key] }) { return made }
    let made = Primitive(shape, images, direction, epilogue, bf16: bf16)
    return primitives.withLock { all in
      // Another lane may have been first.
      let kept = all[key] ?? made
      all[key] = kept
      return kept
    }
  }
}

/// A primitive of oneDNN; constant. Its workspace holds scaled weights, where it has an epilogue, then its packed of the
/// weights, if it has one, then its scratch.
@safe final class Primitive: Sendable {
  nonisolated(unsafe) private let handle: OpaquePointer
  private let shape: ConvolutionShape
  private let scaledCount: Int
  private let packedCount: Int
  /// Elements of the workspace to clear before a gradient of the weights: on an image smaller than the window, where
  /// taps meet no pixel, the library multiplies zeros by what it finds there.
  private let clearedCount: Int
  /// In floats.
  let workspaceCount: Int

  init(
    _ shape: ConvolutionShape, _ images: Int, _ direction: tamring_dnn_direction, _ epilogue: EpilogueKind?,
    bf16: Bool
  ) {
    var wanted = tamring_dnn_shape(
      images: Int64(images), inputs: Int64(shape.inputChannels), outputs: Int64(shape.outputChannels),
      kernel: Int64(shape.kernel), stride: Int64(shape.stride), padding: Int64(shape.padding),
      height: Int64(shape.height), width: Int64(shape.width), bf16: bf16,
      biased: epilogue != nil, adds: epilogue?.adds ?? false, relu: epilogue?.relu ?? false)
    guard let made = unsafe tamring_dnn_create(&wanted, direction) else {
      endProcess(.unavailable, "oneDNN makes no convolution for \(shape): most likely no memory is left on this host")
    }
    unsafe handle = made
    self.shape = shape
    scaledCount = epilogue == nil ? 0 : (shape.weightCount + 15) & ~15
    packedCount = unsafe Int(tamring_dnn_packed_bytes(made)) / 4
    workspaceCount = unsafe scaledCount + packedCount + Int(tamring_dnn_scratch_bytes(made)) / 4
    clearedCount = min(shape.height, shape.width) < shape.kernel ? workspaceCount : 0
  }

  deinit { unsafe tamring_dnn_destroy(handle) }

  /// Forward, or the data's gradient. Weights are brought into packed for each call: a lane needs each packed once.
  /// - Parameter epilogue: as the primitive was made for.
  func run(
    _ images: UnsafeMutableRawPointer, _ weights: UnsafePointer<Float>, _ results: UnsafeMutableRawPointer,
    epilogue: UnsafePointer<tamring_epilogue>? = nil, _ workspace: UnsafeMutablePointer<Float>
  ) {
    var plain = unsafe weights
    if let epilogue = unsafe epilogue {
      unsafe tamring_scale_weights(epilogue, Int64(shape.outputChannels), Int64(shape.columns), weights, workspace)
      unsafe plain = UnsafePointer(workspace)
    }
    let own = unsafe workspace + scaledCount
    let packed = unsafe packedCount > 0 ? own : UnsafeMutablePointer(mutating: plain)
    let works =
      unsafe (packedCount == 0 || tamring_dnn_reorder(handle, plain, own))
      && tamring_dnn_run(handle, images, packed, results, epilogue?.pointee.shift, own + packedCount)
    if !works { endProcess(.unavailable, "a convolution of oneDNN failed: most likely no memory is left on this host") }
  }

  func run(
    _ images: UnsafeMutableRawPointer, gradient: UnsafeMutablePointer<Float>,
    _ results: UnsafeMutableRawPointer, _ workspace: UnsafeMutablePointer<Float>
  ) {
    let packed = unsafe packedCount > 0 ? workspace : gradient
    unsafe workspace.update(repeating: 0, count: clearedCount)
    let works =
      unsafe tamring_dnn_run(handle, images, packed, results, nil, workspace + packedCount)
      && (packedCount == 0 || tamring_dnn_reorder(handle, workspace, gradient))
    if !works { endProcess(.unavailable, "a convolution of oneDNN failed: most likely no memory is left on this host") }
  }
}
