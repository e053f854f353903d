// A lane's clips on the way from files to numbers: what is asked for, and what comes out.
import Shared

/// A lane of one step.
public struct LaneKey: Hashable, Sendable {
  public var step: Int
  public var lane: Int

  public init(step: Int, lane: Int) {
    self.step = step
    self.lane = lane
  }
}

/// The clips of a lane, and what is to be made of them.
public struct LaneJob: Sendable {
  public var clips: [ClipRequest]
  public var form: ClipForm
  public var epoch: Int

  public init(clips: [ClipRequest], form: ClipForm, epoch: Int) {
    self.clips = clips
    self.form = form
    self.epoch = epoch
  }

  /// Numbers of the lane: clips·T·S·S·3.
  var elements: Int { clips.count * form.clipElements }
}

/// A lane that is ready to be computed.
public struct LaneBatch: Sendable {
  public let key: LaneKey
  /// [clips·T, S, S, 3] float32 at the beginning of it; it may be longer.
  public let storage: FloatStorage
  public let labels: [Int]
  /// Positions in the index.
  public let clips: [Int]
}
