// A named block of numbers of the training state, and where a checkpoint keeps it.
import Shared

/// A tensor's place in a flat storage.
public struct NamedTensor: Hashable, Sendable {
  public let name: String
  public let shape: [Int]
  /// Elements from the storage's start to the tensor's first.
  public let offset: Int
  /// Elements.
  public let count: Int

  public init(name: String, shape: [Int], offset: Int, count: Int) {
    precondition(shape.reduce(1, *) == count && offset >= 0, "\(name): \(count) elements for shape \(shape)")
    self.name = name
    self.shape = shape
    self.offset = offset
    self.count = count
  }

  var range: Range<Int> { offset..<offset + count }
}

/// One slot of the training state: its tensors and its memory. This module does not know what it means to training.
public struct StateSlot: Sendable {
  public enum File: Sendable {
    /// model.safetensors: what evaluation needs.
    case model
    /// trainer.safetensors: what training needs besides.
    case trainer
  }

  public enum Values: Sendable {
    case floats(FloatStorage)
    case integers(AlignedStorage<Int32>)

    var count: Int {
      switch self {
      case .floats(let values): values.count
      case .integers(let values): values.count
      }
    }

    var format: TensorFormat {
      switch self {
      case .floats: .float32
      case .integers: .int32
      }
    }

    private var bytes: UnsafeMutableRawBufferPointer {
      switch self {
      case .floats(let values): unsafe values.bytes
      case .integers(let values): unsafe values.bytes
      }
    }

    func bytes(of tensor: NamedTensor) -> UnsafeMutableRawBufferPointer {
      let (range, size) = (tensor.range, format.bytes)
      return unsafe UnsafeMutableRawBufferPointer(
        rebasing: bytes[range.lowerBound * size..<range.upperBound * size])
    }

    /// Takes the slot's bytes into a digest.
    public func update(_ stream: borrowing Digest128Stream) { unsafe stream.update(UnsafeRawBufferPointer(bytes)) }
  }

  public let name: String
  public let file: File
  /// Before a tensor's name, its name in the file.
  public let prefix: String
  /// Sorted by name (UTF-8 bytes), without gaps.
  public let tensors: [NamedTensor]
  public let values: Values

  public init(_ name: String, _ file: File, prefix: String = "", tensors: [NamedTensor], _ values: Values) {
    for tensor in tensors {
      precondition(tensor.offset + tensor.count <= values.count, "\(tensor.name) lies outside its storage")
    }
    self.name = name
    self.file = file
    self.prefix = prefix
    self.tensors = tensors
    self.values = values
  }

  /// The exponents of the quantisation scales, one for each parameter tensor: always the last slot.
  public init(scales: AlignedStorage<Int32>) {
    self.init(
      "scales", .trainer,
      tensors: [NamedTensor(name: Self.scalesName, shape: [scales.count], offset: 0, count: scales.count)],
      .integers(scales))
  }

  static let scalesName = "trainer.scales"
}
