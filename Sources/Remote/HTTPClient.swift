// One request by libcurl, from its options to its result. Trying again is for `Patience`, files for the cache.
import CCurl
import Foundation
import Shared
import Synchronization

/// What bounds a request.
struct HTTPLimits: Sendable {
  var connect: Duration = .seconds(10)
  /// A body that brings less than a KiB a second for as long counts as stalled.
  var stall: Duration = .seconds(15)
  var redirects = 5
}

/// Makes requests. Any number of threads may share one client; connections are kept for the next request.
final class HTTPClient: Sendable {
  /// A handle of libcurl. It belongs to the thread that took it out of `idle`.
  @safe
  private struct Handle: @unchecked Sendable {
    let curl: UnsafeMutableRawPointer
  }

  /// What takes a body, piece by piece.
  @safe
  struct Sink {
    /// Asked once, before the body.
    var accepts: (HTTPResponse) throws(RemoteError) -> Void
    var take: (UnsafeRawBufferPointer) throws(RemoteError) -> Void
  }

  private static let isReady = tamring_curl_init() == CURLE_OK
  private let idle = Mutex<[Handle]>([])
  let limits: HTTPLimits

  init(_ limits: HTTPLimits = HTTPLimits()) { self.limits = limits }

  deinit {
    for handle in idle.withLock({ $0 }) { unsafe curl_easy_cleanup(handle.curl) }
  }

  /// Asks for a file, or for bytes of it.
  /// - Parameters:
  ///   - range: the bytes; nil for all.
  ///   - validator: the server is to send everything if the file is not the one of this tag or date any more.
  /// - Throws: `RemoteError`; also what `sink` throws.
  @discardableResult
  func get(
    _ address: String, _ range: Range<UInt64>? = nil, ifRange validator: String = "", _ sink: Sink
  ) throws(RemoteError) -> HTTPResponse {
    guard Self.isReady, let handle = idle.withLock({ $0.popLast() }) ?? Self.newHandle() else {
      throw RemoteError(.passing, address, "libcurl cannot be started")
    }
    defer { idle.withLock { $0.append(handle) } }
    let transfer = Transfer(sink)
    var headers: UnsafeMutablePointer<curl_slist>?
    if !validator.isEmpty { unsafe headers = unsafe curl_slist_append(nil, "If-Range: \(validator)") }
    defer { unsafe curl_slist_free_all(headers) }
    let curl = unsafe handle.curl
    // Connections outlive this.
    unsafe curl_easy_reset(curl)
    unsafe set(curl, address, range)
    unsafe tamring_curl_set_headers(curl, headers)
    var message = [CChar](repeating: 0, count: Int(CURL_ERROR_SIZE))
    let code = unsafe message.withUnsafeMutableBufferPointer { buffer in
      unsafe tamring_curl_set_error_buffer(curl, buffer.baseAddress)
      unsafe tamring_curl_set_sinks(
        curl, Transfer.body, Transfer.header, Unmanaged.passUnretained(transfer).toOpaque())
      defer { unsafe tamring_curl_set_error_buffer(curl, nil) }
      return withExtendedLifetime(transfer) { unsafe curl_easy_perform(curl) }
    }
    if let failure = transfer.failure { throw failure }
    if transfer.response.status >= 400 {
      throw Self.refusal(address, transfer.response.status, after: unsafe tamring_curl_retry_after(curl))
    }
    guard code == CURLE_OK else {
      let text = String(decoding: message.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
      throw Self.failure(address, code, text)
    }
    try transfer.finish()
    return transfer.response
  }

  private static func newHandle() -> Handle? { unsafe curl_easy_init().map { unsafe Handle(curl: $0) } }

  private func set(_ curl: UnsafeMutableRawPointer, _ address: String, _ range: Range<UInt64>?) {
    func number(_ option: CURLoption, _ value: Int) { unsafe tamring_curl_set_number(curl, option, value) }
    func text(_ option: CURLoption, _ value: String) { unsafe tamring_curl_set_text(curl, option, value) }
    text(CURLOPT_URL, address)
    text(CURLOPT_PROTOCOLS_STR, "http,https")
    // Nothing that was asked for under encryption is read without.
    text(CURLOPT_REDIR_PROTOCOLS_STR, address.hasPrefix("https:") ? "https" : "http,https")
    number(CURLOPT_FOLLOWLOCATION, 1)
    number(CURLOPT_MAXREDIRS, limits.redirects)
    number(CURLOPT_NOSIGNAL, 1)
    number(CURLOPT_NETRC, Int(CURL_NETRC_OPTIONAL.rawValue))
    number(CURLOPT_CONNECTTIMEOUT_MS, Self.milliseconds(limits.connect))
    number(CURLOPT_LOW_SPEED_LIMIT, 1024)
    number(CURLOPT_LOW_SPEED_TIME, max(1, Self.milliseconds(limits.stall) / 1000))
    text(CURLOPT_USERAGENT, "tamring")
    // The library, unlike the program, does not look at this by itself.
    if let bundle = ProcessInfo.processInfo.environment["CURL_CA_BUNDLE"], !bundle.isEmpty {
      text(CURLOPT_CAINFO, bundle)
    }
    if let range, !range.isEmpty { text(CURLOPT_RANGE, "\(range.lowerBound)-\(range.upperBound - 1)") }
  }

  private static func milliseconds(_ time: Duration) -> Int {
    Int(clamping: time.components.seconds) * 1000 + Int(time.components.attoseconds / 1_000_000_000_000_000)
  }

  // MARK: What a failure means

  private static func refusal(_ address: String, _ status: Int, after seconds: Int) -> RemoteError {
    let cause = "the server answers \(status)" + (names[status].map { " \($0)" } ?? "")
    if status >= 500 || [408, 425, 429].contains(status) {
      return RemoteError(
        .passing, address, cause, httpStatus: status, retryAfter: seconds > 0 ? .seconds(seconds) : nil)
    }
    return RemoteError(.missing, address, cause, httpStatus: status)
  }

  private static let names = [
    401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 410: "Gone", 416: "Range Not Satisfiable",
    429: "Too Many Requests", 500: "Internal Server Error", 502: "Bad Gateway", 503: "Service Unavailable",
    504: "Gateway Timeout",
  ]

  private static func failure(_ address: String, _ code: CURLcode, _ text: String) -> RemoteError {
    let cause = text.isEmpty ? unsafe String(cString: curl_easy_strerror(code)) : text
    switch code {
    case CURLE_PEER_FAILED_VERIFICATION, CURLE_SSL_CACERT_BADFILE, CURLE_SSL_CERTPROBLEM, CURLE_SSL_ISSUER_ERROR,
      CURLE_SSL_INVALIDCERTSTATUS:
      return RemoteError(
        .refused, address, "the server's certificate is not trusted: \(cause)",
        "install the certificate of who signed it, or name its file in the variable CURL_CA_BUNDLE")
    case CURLE_UNSUPPORTED_PROTOCOL, CURLE_URL_MALFORMAT, CURLE_TOO_MANY_REDIRECTS:
      return RemoteError(
        .refused, address, cause, "check the address; at most a few redirects are followed, and none from https to http"
      )
    default: return RemoteError(.passing, address, cause)
    }
  }
}

/// One response as it arrives.
private final class Transfer {
  private let sink: HTTPClient.Sink
  private(set) var response = HTTPResponse()
  private var isAccepted = false
  private(set) var failure: RemoteError?

  init(_ sink: HTTPClient.Sink) { self.sink = sink }

  /// An empty body calls nobody.
  func finish() throws(RemoteError) {
    if !isAccepted { try sink.accepts(response) }
    isAccepted = true
  }

  private func take(_ bytes: UnsafeRawBufferPointer) -> Bool {
    // The body of a refusal is nobody's file.
    guard response.status < 400 else { return false }
    do throws(RemoteError) {
      try finish()
      unsafe try sink.take(bytes)
      return true
    } catch {
      failure = error
      return false
    }
  }

  private static func of(_ opaque: UnsafeMutableRawPointer?) -> Transfer? {
    unsafe opaque.map { unsafe Unmanaged<Transfer>.fromOpaque($0).takeUnretainedValue() }
  }

  static let body: tamring_curl_sink = { bytes, size, count, opaque in
    guard let transfer = unsafe Transfer.of(opaque), let bytes = unsafe bytes else { return 0 }
    let taken = unsafe transfer.take(UnsafeRawBufferPointer(start: bytes, count: size * count))
    return taken ? size * count : 0
  }

  static let header: tamring_curl_sink = { bytes, size, count, opaque in
    guard let transfer = unsafe Transfer.of(opaque), let bytes = unsafe bytes else { return 0 }
    let line = unsafe UnsafeRawBufferPointer(start: bytes, count: size * count)
    transfer.response.add(unsafe String(decoding: line, as: UTF8.self))
    return size * count
  }
}
