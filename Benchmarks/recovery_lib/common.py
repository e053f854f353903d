"""What both measurements need: errors, notes, statistics, and looking at processes before a signal is sent to one."""
import math
import os
import pathlib
import signal
import subprocess
import sys
import time

# No step for so long after a kill counts as a recovery that failed.
HANG_SECONDS = 60.0


class BenchmarkError(Exception):
    """What went wrong, where, and what to do, in one line."""

    def __init__(self, text, status=1):
        super().__init__(text)
        self.status = status


def note(text):
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def quantile(values, share):
    """The smallest value that at least `share` of all do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def median(values):
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def summary(values):
    """Median, 90th percentile and extremes in seconds; None where nothing was measured."""
    if not values:
        return None
    return {"count": len(values), "min": round(min(values), 4), "median": round(median(values), 4),
            "p90": round(quantile(values, 0.9), 4), "max": round(max(values), 4)}


def parent(pid):
    """The parent of a process; None where there is no such process, or only what is left of one."""
    try:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else int(fields[1])


def descendants(pid):
    """All processes below one, children before theirs."""
    children = {}
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            above = parent(int(entry.name))
            if above is not None:
                children.setdefault(above, []).append(int(entry.name))
    found, waiting = [], [pid]
    while waiting:
        below = children.get(waiting.pop(0), [])
        found += below
        waiting += below
    return found


def end(process, patience):
    """Ends a process that this program started, with all below it: by SIGTERM, after `patience` seconds by SIGKILL."""
    if process.poll() is not None:
        return
    below = descendants(process.pid)
    process.terminate()
    try:
        process.wait(patience)
    except subprocess.TimeoutExpired:
        below = descendants(process.pid) or below
        process.kill()
        process.wait()
        for pid in below:
            # Its parent is gone, so its id may be another's only if it was reaped: init does that when it has ended.
            if parent(pid) is not None:
                kill(pid)


def kill(pid):
    """SIGKILL; returns when it was sent, by both clocks (monotonic, wall)."""
    moment = time.monotonic(), time.time()
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError as error:
        raise BenchmarkError(f"process {pid} ended before it was killed") from error
    return moment
