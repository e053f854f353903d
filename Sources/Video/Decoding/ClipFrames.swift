// What a clip's frames come from: a video file, or a folder of images.

/// Something that has frames 0, 1, 2… It belongs to one thread.
protocol ClipFrames: AnyObject {
  var orientation: Orientation { get }
  func frameCount() throws -> Int
  /// Passes each of the frames to `use` once, in any order.
  /// - Throws: `VideoError` if one is damaged or does not exist.
  func decode(_ frames: [Int], _ use: (Int, DecodedFrame) throws -> Void) throws
}

extension VideoFile: ClipFrames {}
