// The settings of a membership.

extension Membership {
  struct Settings {
    var ranks: [Int]
    var lanes: Int
    /// Training ends when all steps below are applied.
    var lastStep: UInt64
    var joinWindow: Duration
    /// Silence after which a worker is suspected, and evicted.
    var suspectAfter: Duration = .seconds(1)
    var evictAfter: Duration
    /// Silence that is enough where a neighbour saw the connection end.
    var closedAfter: Duration = .milliseconds(750)
    /// How long an evicted worker may come back before it is replaced.
    var returnAfter: Duration = .seconds(60)
    /// A worker that beats, but makes no progress for this long, is hung.
    var hangAfter: Duration = .seconds(60)
    /// Before a message that was not answered is sent again.
    var repeatAfter: Duration = .seconds(1)
    /// Only workers of this run are taken back.
    var run = ""
    /// How long training waits while nobody can read its data.
    var dataWait = Duration.seconds(600)
    var epoch = EpochRules()
  }
}
