// The wire format of control messages: a version, then JSON, then at most one block of bytes.
import Foundation
import Shared
import Wire

/// Encodes a control message as parts: `[header, payload?]`. The header is two magic bytes, a version, a reserved byte,
/// then JSON.
public enum ControlCodec {
  public static let version: UInt8 = 7
  /// The most bytes of a header, and those of one that holds no long list.
  public static let headerLimit = 4 << 20
  static let shortLimit = 64 << 10
  private static let magic: [UInt8] = [0x54, 0x4D]

  public static func encode(_ message: some Encodable, payload: Data? = nil) throws -> [Data] {
    let encoder = JSONEncoder()
    encoder.nonConformingFloatEncodingStrategy = .convertToString(
      positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
    var header = Data(magic + [version, 0])
    header.append(try encoder.encode(message))
    return payload.map { [header, $0] } ?? [header]
  }

  /// - Throws: `SharedError(.badData)` with the reason why the parts are not a message. Callers drop, count and log it.
  public static func decode<Message: ControlMessage>(_: Message.Type, _ parts: [Data]) throws -> (
    Message, payload: Data?
  ) {
    guard let header = parts.first, parts.count <= 2 else {
      throw SharedError(.badData, "a control message of \(parts.count) parts")
    }
    guard header.count <= headerLimit, parts.count < 2 || parts[1].count <= BlobPiece.most else {
      throw SharedError(.badData, "a control message that is too long")
    }
    guard header.count >= 4, header.starts(with: magic) else {
      throw SharedError(.badData, "not a control message of Tamring")
    }
    let theirs = header[header.startIndex + 2]
    guard theirs == version else {
      throw SharedError(.badData, "a control message of protocol \(theirs), this is \(version); update the older side")
    }
    let message: Message
    let decoder = JSONDecoder()
    decoder.nonConformingFloatDecodingStrategy = .convertFromString(
      positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
    do {
      message = try decoder.decode(Message.self, from: header.dropFirst(4))
    } catch { throw SharedError(.badData, "a control message that cannot be understood: \(error)") }
    guard header.count <= shortLimit || message.mayBeLong else {
      throw SharedError(.badData, "a control message of \(header.count) bytes, which has no long list")
    }
    return (message, parts.count == 2 ? parts[1] : nil)
  }
}
