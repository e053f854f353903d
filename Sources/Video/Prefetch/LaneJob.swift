// The request for a lane's clips, and the decoded lane.
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

/// The clips of a lane, and how to sample them.
public struct LaneJob: Sendable {
  public var clips: [ClipRequest]
  public var form: ClipForm
  public var epoch: Int
  /// The least size of new memory for the lane, in numbers: as much as any lane needs that may come to have it.
  public var room: Int

  public init(clips: [ClipRequest], form: ClipForm, epoch: Int, room: Int = 0) {
    self.clips = clips
    self.form = form
    self.epoch = epoch
    self.room = room
  }

  /// How many numbers the lane has: clips·T·S·S·3.
  var elements: Int { clips.count * form.clipElements }
}

/// A lane that is ready to be computed.
public struct LaneBatch: Sendable {
  public let key: LaneKey
  /// Begins with [clips·T, S, S, 3] float32; it may be longer.
  public let storage: FloatStorage
  public let labels: [Int]
  /// Positions in the index.
  public let clips: [Int]
}
