"""Tamring on the demo recipe with three workers: kills one after the other and reads off the journal what follows."""
import math
import random
import re
import sqlite3
import subprocess
import time

from .common import HANG_SECONDS, BenchmarkError, end, kill, median, note, parent, summary
from .journal import Journal, wall

WORKERS = 3
# Steps of a full generation before the next kill; the times between them are the undisturbed ones.
STEADY_STEPS = 3
# A kill needs so many steps before the run's end.
STEPS_LEFT = 20
# A start, a worker's return: everything but a recovery.
PATIENCE = 180.0


class Run:
    """One `coordinator train` and its journal."""

    def __init__(self, options, folder, recipe, number):
        self.folder = folder / f"run-{number}"
        self.log = folder / f"coordinator-{number}.log"
        hosts = folder / "hosts.txt"
        hosts.write_text(f"localhost slots={WORKERS}\n")
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [options.bin / "coordinator", "train", "--workers", hosts, "--recipe", recipe, "--run-dir", self.folder,
                 "--listen", "tcp://127.0.0.1:0"], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True)
        try:
            self.journal = self._open()
        except BaseException:
            # Nobody else knows of this process yet, also where Ctrl-C came.
            self.stop()
            raise

    def _open(self):
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and self.process.poll() is None:
            if (self.folder / "run.db").exists():
                try:
                    journal = Journal(self.folder / "run.db")
                    if journal.total_steps() is not None:
                        return journal
                except sqlite3.Error:
                    pass  # It is being made.
            time.sleep(0.05)
        raise BenchmarkError(f"the coordinator made no run.db: see {self.log}")

    def stop(self):
        end(self.process, 30)

    def steady(self, after):
        """Waits until all workers are members and have done some steps; returns their generation and those steps.

        None where too few steps are left for another kill.
        """

        def ready():
            if self.journal.last_step() + STEPS_LEFT >= self.journal.total_steps():
                return ()
            made = self.journal.generation()
            if made is None or made.number <= after or len(made.ranks) < WORKERS:
                return None
            steps = self.journal.steps(generation=made.number)
            # The first one began with the generation: its time is not an undisturbed one.
            return (made, steps) if len(steps) > STEADY_STEPS else None

        found = self.journal.wait(ready, PATIENCE)
        if found is None:
            self.stop()
            raise BenchmarkError(f"{WORKERS} workers did not come together within {PATIENCE:.0f} s: see {self.log}")
        return found or None

    def rolled_back(self):
        """Steps that were committed and lost again."""
        return self.journal.connection.execute("SELECT count(*) FROM steps WHERE rolled_back != 0").fetchone()[0]

    def victim(self, rank):
        """The process of a rank. It must be a child of our coordinator: nobody else's is ever killed."""
        pid = self.journal.present().get(rank)
        if pid is None or parent(pid) != self.process.pid:
            raise BenchmarkError(f"rank {rank}'s process {pid} is not a worker that this run started: see {self.log}")
        return pid


def one_kill(run, made, steps, rank, dice):
    """Kills a rank at a random moment of a step; returns the figures of what followed.

    None, and nobody is killed, where the generation is not the one that was steady any more: lanes moved.
    """
    intervals = [b.committed - a.committed for a, b in zip(steps, steps[1:])]
    usual = median(intervals)
    per_lane = median([s.compute for s in steps[1:]]) / max(len(own) for own in made.lanes.values())
    pid = run.victim(rank)
    lost_before = run.rolled_back()
    # From a commit on, any moment of the step that follows.
    last = run.journal.last_step()
    run.journal.wait(lambda: run.journal.last_step() > last or None, PATIENCE)
    time.sleep(dice.random() * usual)
    before = run.journal.steps(after=last)
    if run.journal.generation().number != made.number:
        return None
    moment, clock = kill(pid)

    figures = {"rank": rank, "lost_lanes": len(made.lanes[rank]), "step_seconds": usual,
               "lane_compute_seconds": per_lane,
               "since_commit_seconds": clock - before[-1].committed if before else None}
    last = before[-1].step if before else last
    first = {}

    def answer():
        fresh = run.journal.steps(after=last)
        if fresh and "any" not in first:
            first["any"] = time.monotonic() - moment
        fresh = [s for s in fresh if s.generation > made.number]
        return (time.monotonic() - moment, fresh[0]) if fresh else None

    found = run.journal.wait(answer, HANG_SECONDS)
    if found is None:
        return figures | {"hung": True}
    seconds, step = found
    after = run.journal.connection.execute(
        "SELECT lanes, created_at FROM generations WHERE number = ?", (step.generation,)).fetchone()
    survivors = WORKERS - 1
    recomputation = per_lane * math.ceil(figures["lost_lanes"] / survivors)
    return figures | {
        "hung": False, "step": step.step, "any_commit_seconds": first["any"], "next_commit_seconds": seconds,
        "recomputation_seconds": recomputation, "beyond_seconds": seconds - recomputation,
        "generation_made_seconds": wall(after[1]) - clock, "written_seconds": step.committed - clock,
        "steps_lost": run.rolled_back() - lost_before, "compute_seconds": step.compute,
        "decode_wait_seconds": step.decode_wait, "ring_seconds": step.ring,
        "intervals": intervals}


def prepared(options, folder):
    """The recipe with our data's path."""
    for name in ("coordinator", "worker"):
        if not (options.bin / name).exists():
            raise BenchmarkError(f"{options.bin / name} is missing: build first, or give --bin", 64)
    data = options.data
    if data is None:
        data = folder / "demo-data"
        note("making the demo's clips")
        made = subprocess.run([options.bin / "coordinator", "demo-data", data], capture_output=True, text=True)
        if made.returncode:
            raise BenchmarkError(f"coordinator demo-data failed: {made.stderr.strip()}")
    text, count = re.subn(r"(?m)^(\s+path:).*$", rf"\1 {data.resolve()}", options.recipe.read_text())
    if count != 1:
        raise BenchmarkError(f"{options.recipe}: expected one line 'path:', found {count}", 78)
    recipe = folder / "recipe.yaml"
    recipe.write_text(text)
    return recipe


def measure(options, folder):
    recipe = prepared(options, folder)
    dice = random.Random(options.seed)
    kills, number, run, generation = [], 0, None, 0
    try:
        while len(kills) < options.kills:
            if run is None:
                number += 1
                run, generation = Run(options, folder, recipe, number), 0
            steady = run.steady(generation)
            if steady is None:
                run.stop()
                run = None
                continue
            made, steps = steady
            figures = one_kill(run, made, steps, made.ranks[len(kills) % WORKERS], dice)
            if figures is None:
                continue
            kills.append(figures | {"run": number})
            generation = made.number
            if figures["hung"]:
                note(f"kill {len(kills)}: no step for {HANG_SECONDS:.0f} s, the run is started anew: see {run.log}")
                run.stop()
                run = None
            else:
                note(f"kill {len(kills)}: rank {figures['rank']} with {figures['lost_lanes']} lanes, next commit after "
                     f"{figures['next_commit_seconds']:.3f} s, {figures['beyond_seconds']:.3f} s beyond recomputation")
    finally:
        if run is not None:
            run.stop()
    return summarised(kills)


def summarised(kills):
    done = [k for k in kills if not k["hung"]]
    intervals = [i for k in done for i in k.pop("intervals")]

    def of(name, among=done):
        return summary([k[name] for k in among])

    return {
        "workers": WORKERS, "kills": len(kills), "hung": len(kills) - len(done),
        "undisturbed_step_seconds": summary(intervals),
        "lane_compute_seconds": of("lane_compute_seconds"),
        "next_commit_seconds": of("next_commit_seconds"), "beyond_seconds": of("beyond_seconds"),
        "beyond_seconds_with_lanes": of("beyond_seconds", [k for k in done if k["lost_lanes"]]),
        "beyond_seconds_without_lanes": of("beyond_seconds", [k for k in done if not k["lost_lanes"]]),
        "generation_made_seconds": of("generation_made_seconds"),
        "decode_wait_seconds": of("decode_wait_seconds", [k for k in done if k["lost_lanes"]]), "steps_lost": sum(k["steps_lost"] for k in done),
        "each": kills}
