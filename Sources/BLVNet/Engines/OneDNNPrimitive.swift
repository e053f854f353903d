// oneDNN primitives, created once and shared by all lanes.
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
      // Another lane may have created it first.
      let kept = all[key] ?? made
      all[key] = kept
      return kept
    }
  }
}

/// An immutable oneDNN primitive. Its workspace holds the scaled weights if there is an epilogue, then the packed
/// weights if oneDNN packs them, then scratch.
@safe final class Primitive: Sendable {
  nonisolated(unsafe) private let handle: OpaquePointer
  private let shape: ConvolutionShape
  private let scaledCount: Int
  private let packedCount: Int
  /// Elements of the workspace to clear before a weight gradient. On an image smaller than the kernel, where taps meet
  /// no pixel, oneDNN multiplies zeros by whatever it finds there.
  private let clearedCount: Int
  /// The size of the workspace, in floats.
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
      endProcess(.unavailable, "oneDNN cannot convolve \(shape): most likely no memory is left on this host")
    }
    unsafe handle = made
    self.shape = shape
    scaledCount = epilogue == nil ? 0 : (shape.weightCount + 15) & ~15
    packedCount = unsafe Int(tamring_dnn_packed_bytes(made)) / 4
    workspaceCount = unsafe scaledCount + packedCount + Int(tamring_dnn_scratch_bytes(made)) / 4
    clearedCount = min(shape.height, shape.width) < shape.kernel ? workspaceCount : 0
  }

  deinit { unsafe tamring_dnn_destroy(handle) }

  /// Runs the forward pass or the data gradient. The weights are packed in each call: a lane needs them only once.
  /// - Parameter epilogue: of the kind that the primitive was created for.
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
