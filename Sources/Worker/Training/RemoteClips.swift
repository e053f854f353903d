// Clips on the web: the one place where a worker's paths become files of this host.
import Recipes
import Remote
import Shared
import Video

extension RunContext {
  /// A loader of this run's clips, from this host's disk or from the web. Each knows for itself which files it has
  /// checked.
  func makeLoader() -> ClipLoader {
    let remote = remote
    return ClipLoader(rules: recipe.videoRules, decoders: decoders) { request, progress in
      guard isWebAddress(request.path) else { return nil }
      let path = shownPath(request.path)
      do throws(RemoteError) {
        let (file, range) = try remote.clip(request.path, request.range) { progress.moved() }
        return LocalClip(
          path: file.path, range: range, shown: path, identity: file.identity, hold: file,
          reject: { remote.discard(file) })
      } catch {
        throw VideoError(
          path: path, operation: "read", cause: error.kind == .refused ? error.text : error.cause,
          status: error.isPassing ? .ioError : .badData,
          errorNumber: error.isPassing ? error.number : nil)
      }
    }
  }
}
