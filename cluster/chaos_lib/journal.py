"""run.db, read only, while the coordinator writes it."""
import dataclasses
import datetime
import json
import sqlite3
import time


@dataclasses.dataclass
class Moment:
    """Where a run is."""
    steps: int = 0
    row: int = 0
    event: int = 0
    generation: int = 0
    ring: tuple = ()
    # Where the last step that was committed belongs: it may still be the generation before.
    stepping: int = 0
    # Rows of steps that were computed again since.
    rolled_back: int = 0


def seconds(text):
    """The time of a column such as `committed_at`, in seconds since 1970."""
    parsed = datetime.datetime.fromisoformat(text)
    return parsed.replace(tzinfo=parsed.tzinfo or datetime.timezone.utc).timestamp()


class Journal:
    def __init__(self, path):
        self.path = path

    def query(self, sql, *values):
        """All rows; an empty list where the journal does not exist yet."""
        deadline = time.monotonic() + 10
        while True:
            if not self.path.exists():
                return []
            try:
                database = sqlite3.connect(f"file:{self.path}?mode=ro", uri=True, timeout=5)
                try:
                    return database.execute(sql, values).fetchall()
                finally:
                    database.close()
            except sqlite3.OperationalError as error:
                if "no such table" in str(error):
                    return []
                # Its writer was killed in the midst of something, or the disk is full just now.
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def one(self, sql, *values, default=0):
        rows = self.query(sql, *values)
        return rows[0][0] if rows and rows[0][0] is not None else default

    def moment(self):
        rows = self.query("SELECT step + 1, id, generation FROM steps ORDER BY id DESC LIMIT 1")
        steps, row, stepping = rows[0] if rows else (0, 0, 0)
        rows = self.query("SELECT number, ring FROM generations ORDER BY number DESC LIMIT 1")
        generation, ring = rows[0] if rows else (0, "[]")
        event = self.one("SELECT max(id) FROM events")
        rolled_back = self.one("SELECT count(*) FROM steps WHERE rolled_back")
        return Moment(steps, row, event, generation, tuple(sorted(json.loads(ring))), stepping, rolled_back)

    def commits_after(self, row):
        """(generation, time) of the steps that were written down after the row `row`."""
        return [(generation, seconds(at)) for generation, at in
                self.query("SELECT generation, committed_at FROM steps WHERE id > ? ORDER BY id", row)]

    def events_after(self, event):
        return [text for _, text in self.query("SELECT id, text FROM events WHERE id > ? ORDER BY id", event)]
