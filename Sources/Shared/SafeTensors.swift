// The safetensors file format: an 8-byte length, a JSON header, the tensors' bytes without gaps.
import Foundation

/// The number formats that Tamring reads and writes.
public enum TensorFormat: String, Sendable {
  case float32 = "F32"
  case int32 = "I32"
  case int64 = "I64"

  public var bytes: Int { self == .int64 ? 8 : 4 }
}

/// Builds a safetensors file that is a function of its contents alone: names sorted, no time, no host.
///
/// **Source:** the format's description in the safetensors project's README.
public struct SafeTensorsWriter: Sendable {
  private var tensors: [String: (format: TensorFormat, shape: [Int], bytes: Data)] = [:]
  public var metadata: [String: String] = [:]

  public init() {}

  /// Adds a tensor, whose elements are in row-major order.
  public mutating func add<Element: BitwiseCopyable>(
    _ name: String, _ format: TensorFormat, shape: [Int], _ values: [Element]
  ) { add(name, format, shape: shape, unsafe values.withUnsafeBytes { unsafe Data($0) }) }

  /// Adds a tensor without copying it: `bytes` reads its elements, as they are then.
  public mutating func add<Element: BitwiseCopyable>(
    _ name: String, _ format: TensorFormat, shape: [Int], _ values: AlignedStorage<Element>, _ range: Range<Int>
  ) { add(name, format, shape: shape, values.data(range)) }

  private mutating func add(_ name: String, _ format: TensorFormat, shape: [Int], _ bytes: Data) {
    precondition(
      shape.reduce(format.bytes, *) == bytes.count, "\(name): \(bytes.count) bytes for \(format.rawValue) \(shape)")
    tensors[name] = (format, shape, bytes)
  }

  /// The file's bytes.
  public func bytes() -> Data {
    var fields: [String] = []
    if !metadata.isEmpty {
      let pairs = metadata.sorted { $0.key < $1.key }.map { "\(quoted($0.key)):\(quoted($0.value))" }
      fields.append("\"__metadata__\":{\(pairs.joined(separator: ","))}")
    }
    let names = tensors.keys.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
    var offset = 0
    var body: [Data] = []
    for name in names {
      guard let tensor = tensors[name] else { continue }
      let shape = tensor.shape.map(String.init).joined(separator: ",")
      let end = offset + tensor.bytes.count
      fields.append(
        "\(quoted(name)):{\"dtype\":\"\(tensor.format.rawValue)\",\"shape\":[\(shape)],\"data_offsets\":[\(offset),\(end)]}"
      )
      offset = end
      body.append(tensor.bytes)
    }
    var header = Data("{\(fields.joined(separator: ","))}".utf8)
    while header.count % 8 != 0 { header.append(0x20) }
    let length = unsafe withUnsafeBytes(of: UInt64(header.count).littleEndian) { unsafe Data($0) }
    let file = AlignedStorage<UInt8>(count: 8 + header.count + offset)
    var place = 0
    for part in [length, header] + body {
      unsafe part.copyBytes(to: file.base + place, count: part.count)
      place += part.count
    }
    return file.data(0..<place)
  }

  private func quoted(_ text: String) -> String {
    var result = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": result += "\\\""
      case "\\": result += "\\\\"
      case let control where control.value < 0x20:
        let digits = String(control.value, radix: 16)
        result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result + "\""
  }
}

/// A safetensors file, checked on opening; the numbers are copied out tensor by tensor.
public struct SafeTensors: Sendable {
  public struct Entry: Sendable {
    public let format: TensorFormat
    public let shape: [Int]
    fileprivate let range: Range<Int>
  }

  public let entries: [String: Entry]
  public let metadata: [String: String]
  private let file: Data
  private let origin: String

  /// - Throws: `SharedError(.ioError)` if the file cannot be read, `.badData` if it is not safetensors.
  public init(path: String) throws {
    let data: Data
    do { data = try Data(contentsOf: URL(fileURLWithPath: path), options: .mappedIfSafe) } catch {
      throw SharedError(.ioError, "\(path): cannot be read; check that the file exists and is readable")
    }
    try self.init(data, origin: path)
  }

  /// Bytes of the header of a file with some hundred thousand tensors.
  private static let longestHeader = 8 << 20

  /// - Parameter origin: what to call the bytes in an error, usually their path.
  /// - Throws: `SharedError(.badData)` that says what is wrong with the bytes.
  public init(_ data: Data, origin: String) throws {
    func bad(_ what: String) -> SharedError {
      SharedError(.badData, "\(origin): not a valid safetensors file: \(what)")
    }
    let data = data.startIndex == 0 ? data : Data(data)
    guard data.count >= 8 else { throw bad("only \(data.count) bytes") }
    let length = data.prefix(8).enumerated().reduce(UInt64(0)) { $0 | UInt64($1.element) << (8 * $1.offset) }
    guard length <= Self.longestHeader, length <= UInt64(data.count - 8) else {
      throw bad("the header says \(length) bytes")
    }
    let start = 8 + Int(length)
    guard let json = try? JSONSerialization.jsonObject(with: data[8..<start]) as? [String: Any] else {
      throw bad("the header is no JSON object")
    }
    var entries: [String: Entry] = [:]
    var metadata: [String: String] = [:]
    for (name, value) in json {
      if name == "__metadata__" {
        guard let strings = value as? [String: String] else { throw bad("__metadata__ holds more than strings") }
        metadata = strings
        continue
      }
      guard let field = value as? [String: Any], let type = field["dtype"] as? String,
        let shape = field["shape"] as? [Int], let offsets = field["data_offsets"] as? [Int], offsets.count == 2
      else { throw bad("'\(name)' lacks dtype, shape or data_offsets") }
      guard let format = TensorFormat(rawValue: type) else {
        throw bad("'\(name)' is \(type); F32, I32 and I64 are understood")
      }
      var elements = 1
      for size in shape {
        let (product, overflow) = elements.multipliedReportingOverflow(by: size)
        guard size >= 0, !overflow, product <= data.count else {
          throw bad("'\(name)' has the impossible shape \(shape)")
        }
        elements = product
      }
      guard offsets[0] >= 0, offsets[1] >= offsets[0], offsets[1] <= data.count - start,
        offsets[1] - offsets[0] == elements * format.bytes
      else { throw bad("'\(name)' has offsets \(offsets) that do not fit its shape \(shape) or the file") }
      entries[name] = Entry(format: format, shape: shape, range: start + offsets[0]..<start + offsets[1])
    }
    var end = start
    for range in entries.values.map(\.range).sorted(by: {
      ($0.lowerBound, $0.upperBound) < ($1.lowerBound, $1.upperBound)
    }) {
      guard range.lowerBound == end else { throw bad("tensors overlap or leave a gap at byte \(range.lowerBound)") }
      end = range.upperBound
    }
    guard end == data.count else { throw bad("\(data.count - end) bytes follow the last tensor") }
    self.entries = entries
    self.metadata = metadata
    self.file = data
    self.origin = origin
  }

  /// Calls `body` with the tensor's elements in row-major order, which may be unaligned.
  /// - Throws: `SharedError(.badData)` if it is missing or of another format or shape.
  public func withBytes<Result>(
    _ name: String, _ format: TensorFormat, shape: [Int]? = nil, _ body: (UnsafeRawBufferPointer) -> Result
  ) throws -> Result {
    guard let entry = entries[name] else { throw SharedError(.badData, "\(origin): has no tensor '\(name)'") }
    guard entry.format == format, shape == nil || shape == entry.shape else {
      throw SharedError(
        .badData,
        "\(origin): '\(name)' is \(entry.format.rawValue) \(entry.shape), expected \(format.rawValue) \(shape ?? entry.shape)"
      )
    }
    return unsafe file.withUnsafeBytes { unsafe body(UnsafeRawBufferPointer(rebasing: $0[entry.range])) }
  }

  /// A copy of the tensor's elements in row-major order.
  /// - Throws: as above.
  public func values<Element: BitwiseCopyable>(
    _ name: String, _ format: TensorFormat, as: Element.Type, shape: [Int]? = nil
  ) throws -> [Element] {
    precondition(MemoryLayout<Element>.size == format.bytes)
    return unsafe try withBytes(name, format, shape: shape) { bytes in
      unsafe [Element](unsafeUninitializedCapacity: bytes.count / format.bytes) { buffer, initialised in
        unsafe UnsafeMutableRawBufferPointer(buffer).copyMemory(from: bytes)
        initialised = buffer.count
      }
    }
  }

  public func floats(_ name: String, shape: [Int]? = nil) throws -> [Float] {
    try values(name, .float32, as: Float.self, shape: shape)
  }

  public func int64s(_ name: String, shape: [Int]? = nil) throws -> [Int64] {
    try values(name, .int64, as: Int64.self, shape: shape)
  }
}
