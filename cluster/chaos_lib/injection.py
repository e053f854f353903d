"""Injects one fault after another into a cluster, and measures the recovery from each."""
import collections
import dataclasses
import re
import time

from . import faults
from .environment import Failure

# Seconds without a step after which the chaos run fails.
STEPLESS = 120
# Seconds after the end of a fault: until the next step is committed, and until all workers are in the ring again.
BOUND = 30
PATIENCE = 45
DIED = re.compile(r"left: (killed by signal|exit code|its process ended|ended while no|its connection|silent, and)")
# Faults that must lead to a new generation.
REFORMING = {"kill", "stop-and-kill", "kill-coordinator-and-worker", "kill-everything", "join", "leave"}


@dataclasses.dataclass
class Outcome:
    label: str
    # The longest time without a committed step, from the fault's beginning until the run is whole again.
    pause: float | None = None
    died: int = 0
    evicted: int = 0
    returned: int = 0
    rolled_back: int = 0
    # Steps that were committed without a coordinator or a disk to record them.
    away: int | None = None
    # Seconds until all workers were back; None if they were not in time.
    settled: float | None = None
    remarks: list = dataclasses.field(default_factory=list)


class Injection:
    def __init__(self, cluster, say):
        self.cluster = cluster
        self.say = say
        self.outcomes = []
        self._row = -1
        self._moved = time.monotonic()
        self._looked = 0.0

    def watch(self, seconds):
        """Waits, and checks that the run goes on."""
        end = time.monotonic() + seconds
        while True:
            self._look()
            left = end - time.monotonic()
            if left <= 0:
                return
            time.sleep(min(0.1, left))

    def _look(self):
        self.cluster.check_coordinator()
        now = time.monotonic()
        if now - self._looked < 0.3:
            return
        self._looked = now
        row = self.cluster.journal.one("SELECT max(id) FROM steps")
        if row != self._row:
            self._row, self._moved = row, now
        elif now - self._moved > STEPLESS:
            raise Failure(f"no step was committed for {STEPLESS} s")

    def begin(self):
        """Waits until all workers step."""
        self._until(lambda: self._is_whole(self.cluster.journal.moment()), 110, "the workers did not begin")

    def _until(self, holds, seconds, otherwise=None):
        """Returns the seconds until it held, or None after a timeout."""
        begun = time.monotonic()
        while not holds():
            self.watch(0.1)
            if time.monotonic() - begun > seconds:
                if otherwise:
                    raise Failure(f"{otherwise} within {seconds} s")
                return None
        return time.monotonic() - begun

    def _is_whole(self, moment):
        return moment.ring == self.cluster.ranks and moment.stepping == moment.generation

    def do(self, fault):
        """Injects one fault, and waits until the run is whole again."""
        journal = self.cluster.journal
        before = journal.moment()
        surprises = len(self.cluster.surprises)
        outcome = Outcome(faults.label(fault))
        begun = time.time()
        faults.perform(fault, self.cluster, self.watch)
        ended = time.time()
        reforms = fault["kind"] in REFORMING or (fault["kind"] == "stop" and fault["seconds"] > 4)

        def goes_on():
            return any(at > ended and (not reforms or generation > before.generation)
                       for generation, at in journal.commits_after(before.row))

        self._until(goes_on, BOUND + STEPLESS, f"{outcome.label}: no step was committed")
        late = time.time() - ended
        if late > BOUND:
            outcome.remarks.append(f"I7: the next step came {late:.0f} s after the fault's end")
        outcome.settled = self._until(lambda: self._is_whole(journal.moment()), PATIENCE)
        if outcome.settled is None:
            outcome.remarks.append(f"ring is {list(journal.moment().ring)}, expected {list(self.cluster.ranks)}")
        self._measure(outcome, before, begun, ended, fault)
        outcome.remarks += self.cluster.surprises[surprises:]
        self.outcomes.append(outcome)
        return outcome

    def _measure(self, outcome, before, begun, ended, fault):
        journal = self.cluster.journal
        commits = [(generation, at) for generation, at in journal.commits_after(before.row) if at > begun]
        times = [at for _, at in commits]
        outcome.pause = max((b - a for a, b in zip([begun] + times, times)), default=None)
        outcome.away = _meanwhile(fault["kind"], [commit for commit in commits if commit[1] > ended], before)
        events = journal.events_after(before.event)
        counts = collections.Counter()
        for text in events:
            if " left: " in text and "asked to end" not in text:
                counts["died" if DIED.search(text) else "evicted"] += 1
            counts["returned"] += text.endswith(" is back")
        outcome.died, outcome.evicted, outcome.returned = counts["died"], counts["evicted"], counts["returned"]
        outcome.rolled_back = journal.moment().rolled_back - before.rolled_back

    def all(self, plan, until):
        """Injects the faults of a plan, each some time after the one before is over, until the given time."""
        for number, fault in enumerate(plan, 1):
            if time.monotonic() + fault["after"] > until:
                break
            self.watch(fault["after"])
            if time.monotonic() > until:
                break
            outcome = self.do(fault)
            self.say(number, fault, outcome)


def _meanwhile(kind, commits, before):
    """Of the steps recorded after a fault's end, how many were committed before it; None if none can be."""
    if kind == "kill-coordinator-and-worker":
        # The old generation cannot continue without the worker.
        return sum(generation == before.generation for generation, _ in commits)
    if kind in ("kill-coordinator", "stop-coordinator", "disk-full"):
        # They are recorded all at once.
        return sum(at - commits[0][1] < 0.1 for _, at in commits)
    return None
