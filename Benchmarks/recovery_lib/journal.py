"""What run.db tells, read while the coordinator writes it."""
import dataclasses
import json
import sqlite3
import time
from datetime import datetime, timezone


@dataclasses.dataclass
class Generation:
    number: int
    lanes: dict  # rank: lanes
    created: float  # wall clock

    @property
    def ranks(self):
        return sorted(self.lanes)


@dataclasses.dataclass
class Step:
    step: int
    generation: int
    committed: float  # wall clock, when the coordinator wrote it
    compute: float  # of the slowest rank, without waiting for clips
    decode_wait: float
    ring: float


def wall(text):
    """The journal's UTC text as seconds."""
    return datetime.fromisoformat(text.replace("Z", "")).replace(tzinfo=timezone.utc).timestamp()


class Journal:
    """A connection that only reads. Nothing is cached: every question is asked anew."""

    def __init__(self, path):
        self.connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None, timeout=5)

    def close(self):
        self.connection.close()

    def version(self):
        """Changes whenever the coordinator has committed something; costs a look at shared memory."""
        return self.connection.execute("PRAGMA data_version").fetchone()[0]

    def generation(self):
        row = self.connection.execute(
            "SELECT number, lanes, created_at FROM generations ORDER BY number DESC LIMIT 1").fetchone()
        if row is None:
            return None
        lanes = json.loads(row[1])
        # Swift writes a dictionary with integer keys as an object, or as a list of keys and values in turn.
        pairs = lanes.items() if isinstance(lanes, dict) else zip(lanes[::2], lanes[1::2])
        return Generation(row[0], {int(rank): list(own) for rank, own in pairs}, wall(row[2]))

    def steps(self, after=-1, generation=None):
        """Live steps with larger numbers, of this generation where one is given."""
        rows = self.connection.execute(
            "SELECT step, generation, committed_at, compute_seconds, decode_wait_seconds, ring_seconds FROM steps"
            " WHERE rolled_back = 0 AND step > ? AND (? IS NULL OR generation = ?) ORDER BY step",
            (after, generation, generation))
        return [Step(row[0], row[1], wall(row[2]), *row[3:]) for row in rows]

    def last_step(self):
        return self.connection.execute("SELECT coalesce(max(step), -1) FROM steps WHERE rolled_back = 0").fetchone()[0]

    def total_steps(self):
        row = self.connection.execute("SELECT steps_per_epoch * epochs FROM runs").fetchone()
        return row[0] if row else None

    def present(self):
        """Process ids of the members that have not left, by rank."""
        return dict(self.connection.execute("SELECT rank, pid FROM members WHERE left_at IS NULL ORDER BY joined_at"))

    def wait(self, question, seconds, every=0.002):
        """The first answer that is not None; asked whenever the journal has changed. None after `seconds`."""
        deadline = time.monotonic() + seconds
        seen = None
        while time.monotonic() < deadline:
            version = self.version()
            if version != seen:
                seen = version
                answer = question()
                if answer is not None:
                    return answer
            # SQLite has no way to await another process's commit: looking again is all there is.
            time.sleep(every)
        return None
