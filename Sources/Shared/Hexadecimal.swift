// Bytes as hexadecimal digits.

/// Two lower-case digits for each byte.
public func hexadecimal(_ bytes: some Sequence<UInt8>) -> String {
  bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
}

/// The bytes of which `hexadecimal` makes this text; nil for any other text.
public func hexadecimalBytes(_ text: String) -> [UInt8]? {
  let digits = Array(text.utf8)
  let bytes = stride(from: 0, to: digits.count, by: 2).compactMap { place in
    UInt8(String(decoding: digits[place..<min(place + 2, digits.count)], as: UTF8.self), radix: 16)
  }
  return hexadecimal(bytes) == text ? bytes : nil
}
