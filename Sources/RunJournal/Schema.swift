// The tables of run.db, as SQL. docs/journal.md explains them.
import GRDB

/// The database's layout. Each migration takes a database from one layout to the next.
///
/// Entries are never changed once released; a new layout is a new entry at the end.
enum Schema {
  struct Migration {
    let name: String
    let sql: String
  }

  /// The number of the newest layout, stored in the database as `user_version`.
  static var version: Int { migrations.count }

  /// Runs the migrations that a database lacks, each in a transaction of its own.
  ///
  /// Journals of layout 3 and older were written before GRDB's migrator was used. Only their `user_version` tells their
  /// layout, so migrations up to that number are recorded as done without being run.
  static let migrator: DatabaseMigrator = {
    var migrator = DatabaseMigrator()
    for (number, migration) in migrations.enumerated() {
      migrator.registerMigration(migration.name, foreignKeyChecks: .immediate) { database in
        guard try Int.fetchOne(database, sql: "PRAGMA user_version") ?? 0 <= number else { return }
        try database.execute(sql: migration.sql)
        try database.execute(sql: "PRAGMA user_version = \(number + 1)")
      }
    }
    return migrator
  }()

  static let migrations = [
    Migration(
      name: "run",
      sql: """
        CREATE TABLE runs (
          id INTEGER PRIMARY KEY CHECK (id = 1), name TEXT NOT NULL, seed TEXT NOT NULL, recipe_digest TEXT NOT NULL,
          index_digest TEXT NOT NULL, fingerprint TEXT NOT NULL, clips INTEGER NOT NULL, steps_per_epoch INTEGER NOT NULL,
          epochs INTEGER NOT NULL, created_at TEXT NOT NULL
        );
        CREATE TABLE members (
          rank INTEGER NOT NULL, incarnation TEXT NOT NULL, host TEXT NOT NULL, pid INTEGER NOT NULL,
          threads INTEGER NOT NULL, joined_at TEXT NOT NULL, left_at TEXT, reason TEXT,
          PRIMARY KEY (rank, incarnation)
        );
        CREATE TABLE generations (
          number INTEGER PRIMARY KEY, start_step INTEGER NOT NULL, reason TEXT NOT NULL,
          lanes TEXT NOT NULL, ring TEXT NOT NULL, created_at TEXT NOT NULL
        );
        CREATE TABLE steps (
          id INTEGER PRIMARY KEY, step INTEGER NOT NULL, epoch INTEGER NOT NULL, generation INTEGER NOT NULL,
          attempt INTEGER NOT NULL, digest TEXT NOT NULL, weights_digest TEXT NOT NULL, loss REAL NOT NULL,
          top1 INTEGER NOT NULL, top5 INTEGER NOT NULL, clips INTEGER NOT NULL, learning_rate REAL NOT NULL,
          gradient_bits INTEGER NOT NULL, clips_digest TEXT NOT NULL, raw_bytes INTEGER NOT NULL,
          wire_bytes INTEGER NOT NULL, ring_seconds REAL NOT NULL, compute_seconds REAL NOT NULL,
          decode_wait_seconds REAL NOT NULL, reporter INTEGER NOT NULL, committed_at TEXT NOT NULL,
          chain TEXT NOT NULL, duplicates INTEGER NOT NULL DEFAULT 0, rolled_back INTEGER NOT NULL DEFAULT 0
        );
        CREATE UNIQUE INDEX live_steps ON steps (step) WHERE rolled_back = 0;
        CREATE TABLE consumed (
          epoch INTEGER NOT NULL, clip INTEGER NOT NULL, step INTEGER NOT NULL, lane INTEGER NOT NULL,
          PRIMARY KEY (epoch, clip)
        ) WITHOUT ROWID;
        CREATE TABLE clips (
          clip INTEGER PRIMARY KEY, id TEXT NOT NULL, path TEXT NOT NULL, label TEXT NOT NULL, bytes INTEGER NOT NULL,
          hash TEXT NOT NULL
        );
        CREATE TABLE rejected (
          list TEXT NOT NULL, id TEXT NOT NULL, path TEXT NOT NULL, reason TEXT NOT NULL, PRIMARY KEY (list, id, path)
        );
        CREATE TABLE checkpoints (
          id INTEGER PRIMARY KEY, step INTEGER NOT NULL, path TEXT NOT NULL, manifest_sha256 TEXT NOT NULL,
          bytes INTEGER NOT NULL, created_at TEXT NOT NULL, verified INTEGER NOT NULL, removed_at TEXT, reason TEXT
        );
        CREATE UNIQUE INDEX live_checkpoints ON checkpoints (step) WHERE removed_at IS NULL;
        CREATE TABLE directives (
          seq INTEGER PRIMARY KEY, kind TEXT NOT NULL, argument TEXT NOT NULL, issued_at TEXT NOT NULL
        );
        CREATE TABLE evaluations (
          id INTEGER PRIMARY KEY, step INTEGER NOT NULL, clips INTEGER NOT NULL, top1 INTEGER NOT NULL,
          top5 INTEGER NOT NULL, loss REAL NOT NULL, at TEXT NOT NULL
        );
        CREATE TABLE events (
          id INTEGER PRIMARY KEY, at TEXT NOT NULL, level TEXT NOT NULL, source TEXT NOT NULL, text TEXT NOT NULL
        );
        """),
    Migration(
      name: "state digests and verdicts",
      sql: """
        ALTER TABLE runs ADD COLUMN identity TEXT NOT NULL DEFAULT '';
        ALTER TABLE generations ADD COLUMN plan TEXT NOT NULL DEFAULT '';
        ALTER TABLE steps ADD COLUMN state_digest TEXT NOT NULL DEFAULT '';
        CREATE TABLE verdicts (
          step INTEGER NOT NULL, clip INTEGER NOT NULL, epoch INTEGER NOT NULL, lane INTEGER NOT NULL,
          reason TEXT NOT NULL, decided_at TEXT NOT NULL, PRIMARY KEY (step, clip)
        );
        """),
    Migration(
      name: "shares",
      sql: """
        CREATE TABLE shares (
          step_id INTEGER NOT NULL, rank INTEGER NOT NULL, lanes INTEGER NOT NULL, raw_bytes INTEGER NOT NULL,
          wire_bytes INTEGER NOT NULL, decode_wait REAL NOT NULL, forward REAL NOT NULL, backward REAL NOT NULL,
          quantise REAL NOT NULL, idle REAL NOT NULL, overlap REAL NOT NULL, reduce REAL NOT NULL, vote REAL NOT NULL,
          apply REAL NOT NULL, PRIMARY KEY (step_id, rank)
        ) WITHOUT ROWID;
        """),
    Migration(
      name: "clip pairs",
      sql: """
        ALTER TABLE steps ADD COLUMN pairs_digest TEXT;
        ALTER TABLE directives DROP COLUMN argument;
        """),
    Migration(
      name: "pauses",
      sql: """
        CREATE TABLE pauses (
          id INTEGER PRIMARY KEY, step INTEGER NOT NULL, reason TEXT NOT NULL, started_at TEXT NOT NULL, ended_at TEXT
        );
        """),
    Migration(
      name: "revisions",
      sql: """
        CREATE TABLE revisions (
          seq INTEGER PRIMARY KEY, step INTEGER NOT NULL, key TEXT NOT NULL, old TEXT NOT NULL, new TEXT NOT NULL,
          at TEXT NOT NULL
        );
        ALTER TABLE evaluations DROP COLUMN loss;
        """),
    Migration(
      name: "evaluated states",
      sql: """
        ALTER TABLE evaluations ADD COLUMN state_digest TEXT NOT NULL DEFAULT '';
        """),
    Migration(
      name: "validation losses",
      sql: """
        ALTER TABLE evaluations ADD COLUMN loss_sum INTEGER;
        """),
    Migration(
      name: "mean average precisions",
      sql: """
        ALTER TABLE evaluations ADD COLUMN mean_precision INTEGER;
        """),
    Migration(
      name: "worker keys",
      sql: """
        CREATE TABLE worker_keys (
          id INTEGER PRIMARY KEY, rank INTEGER NOT NULL, incarnation TEXT NOT NULL, key TEXT NOT NULL,
          admitted_at TEXT NOT NULL
        );
        """),
  ]
}
