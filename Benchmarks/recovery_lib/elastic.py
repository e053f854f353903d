"""torchrun's elastic restart beside it: kills one rank after the other and reads off its log of steps what follows."""
import os
import pathlib
import random
import socket
import subprocess
import time

from .common import HANG_SECONDS, BenchmarkError, descendants, end, kill, median, note, summary

WORKERS = 3
CHECKPOINT_EVERY = 10
STEADY_STEPS = 3
PATIENCE = 120.0
SCRIPT = pathlib.Path(__file__).resolve().parent.parent / "peers" / "elastic.py"

# As it comes, and with the one option that makes the agent see a death sooner.
SETTINGS = {"as it comes": [], "--monitor_interval=0.1": ["--monitor_interval=0.1"]}


def python_with_torch(given):
    """The interpreter and its PyTorch's version."""
    places = [pathlib.Path(p) / "python3" for p in os.environ.get("PATH", "").split(os.pathsep)]
    for python in [given] if given else [str(p) for p in places if os.access(p, os.X_OK)]:
        asked = subprocess.run([python, "-c", "import torch; print(torch.__version__)"], capture_output=True, text=True)
        if asked.returncode == 0:
            return python, asked.stdout.strip()
    raise BenchmarkError(f"no PyTorch in {given or 'any python3 on the PATH'}: apt-get install python3-torch, "
                         "or give --peer-python", 69)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Run:
    """One torchrun and what its rank 0 writes down."""

    def __init__(self, python, folder, clips, extra):
        self.folder = folder
        (folder / "ranks").mkdir(parents=True)
        self.steps_file = folder / "steps"
        self.steps_file.touch()
        self.log = folder / "torchrun.log"
        # A store on a port of its own instead of the fixed one, so that two runs do not meet; else the defaults.
        # PyTorch 1.13 on Python 3.11 cannot read its own default "0" for the last two of these options.
        command = [python, "-m", "torch.distributed.run", "--nnodes=1", f"--nproc_per_node={WORKERS}",
                   "--max_restarts=100", "--rdzv_backend=c10d", f"--rdzv_endpoint=127.0.0.1:{free_port()}",
                   f"--rdzv_id={folder.name}", f"--log_dir={folder / 'logs'}", "--redirects=1", "--tee=1",
                   *extra, SCRIPT, "--folder", folder, "--clips", str(clips),
                   "--checkpoint-every", str(CHECKPOINT_EVERY)]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment,
                                            start_new_session=True)

    def stop(self):
        end(self.process, 15)

    def steps(self):
        """(step, restart, wall clock) of each finished step, whole lines only."""
        lines = self.steps_file.read_text().splitlines(keepends=True)
        parts = [line.split() for line in lines if line.endswith("\n")]
        return [(int(step), int(restart), float(moment)) for step, restart, moment in parts]

    def wait(self, question, seconds, every=0.002):
        """The first answer that is not None, asked whenever the file has grown; None after `seconds` or at the end."""
        deadline = time.monotonic() + seconds
        size = -1
        while time.monotonic() < deadline and self.process.poll() is None:
            now = self.steps_file.stat().st_size
            if now != size:
                size = now
                answer = question(self.steps())
                if answer is not None:
                    return answer
            time.sleep(every)
        return None

    def steady(self, count):
        """Waits for so many steps since the newest restart."""

        def ready(steps):
            newest = [s for s in steps if s[1] == steps[-1][1]]
            return newest if len(newest) > count else None

        return self.wait(ready, PATIENCE)

    def victim(self, restart, rank):
        pid = int((self.folder / "ranks" / f"{restart}-{rank}").read_text())
        if pid not in descendants(self.process.pid):
            raise BenchmarkError(f"process {pid} is not below the torchrun that was started: see {self.log}")
        return pid


def intervals(steps):
    """Seconds between steps, the first of a start apart."""
    return [b[2] - a[2] for a, b in zip(steps[1:], steps[2:])]


def one_kill(run, rank, dice):
    # At any place between two checkpoints, so that what is lost is lost on average.
    steps = run.steady(STEADY_STEPS + dice.randrange(CHECKPOINT_EVERY))
    if steps is None:
        return {"rank": rank, "hung": True, "where": "before the kill"}
    usual = median(intervals(steps))
    pid = run.victim(steps[-1][1], rank)
    time.sleep(dice.random() * usual)
    moment, clock = kill(pid)
    # Steps whose line was written before the kill.
    done = [s for s in run.steps() if s[2] <= clock]
    last, restart = done[-1][0], done[-1][1]
    figures = {"rank": rank, "step_seconds": usual, "last_step": last}
    first = run.wait(lambda all: next((s for s in all if s[1] > restart), None), HANG_SECONDS)
    if first is None:
        return figures | {"hung": True, "where": "after the kill"}
    further = run.wait(lambda all: next((s for s in all if s[1] > restart and s[0] > last), None), HANG_SECONDS)
    if further is None:
        return figures | {"hung": True, "where": "after the restart"}
    return figures | {"hung": False, "next_step_seconds": first[2] - clock, "new_step_seconds": further[2] - clock,
                      "steps_lost": last - first[0] + 1, "intervals": intervals(steps)}


def fitting_clips(python, folder, step_seconds):
    """Clips a rank with which a step takes about as long as ours."""
    clips = 4
    run = Run(python, folder / "torchrun-trial", clips, [])
    try:
        steps = run.steady(10)
    finally:
        run.stop()
    if steps is None:
        raise BenchmarkError(f"torchrun ended, or did no steps within {PATIENCE:.0f} s: see {run.log}")
    return max(1, min(256, round(clips * step_seconds / median(intervals(steps)))))


def measure(options, folder, python, version, step_seconds):
    clips = fitting_clips(python, folder, step_seconds)
    result = {"pytorch": version, "clips_of_a_rank": clips, "checkpoint_every": CHECKPOINT_EVERY, "workers": WORKERS}
    for number, (name, extra) in enumerate(SETTINGS.items()):
        note(f"torchrun, {name}: {options.peer_kills} kills")
        result[name] = series(options, python, clips, extra, folder / f"torchrun-{number}")
    return result


def series(options, python, clips, extra, folder):
    dice = random.Random(options.seed)
    kills, starts, run = [], 0, None
    try:
        while len(kills) < options.peer_kills:
            if run is None:
                starts += 1
                if starts > options.peer_kills + 3:
                    raise BenchmarkError(f"torchrun does not start: see {folder}")
                run = Run(python, folder / f"run-{starts}", clips, extra)
            figures = one_kill(run, len(kills) % WORKERS, dice)
            if not figures["hung"]:
                note(f"kill {len(kills) + 1}: rank {figures['rank']}, next step after "
                     f"{figures['next_step_seconds']:.2f} s, {figures['steps_lost']} steps lost, where it was after "
                     f"{figures['new_step_seconds']:.2f} s")
            else:
                note(f"kill {len(kills) + 1}: no step for {HANG_SECONDS:.0f} s {figures['where']}, started anew")
                run.stop()
                run = None
                if figures["where"] == "before the kill":
                    # It never came to the kill: a start that failed, counted by `starts`.
                    continue
            kills.append(figures)
    finally:
        if run is not None:
            run.stop()
    done = [k for k in kills if not k["hung"]]
    steps = [i for k in done for i in k.pop("intervals")]
    return {"kills": len(kills), "hung": len(kills) - len(done), "starts": starts,
            "undisturbed_step_seconds": summary(steps),
            "next_step_seconds": summary([k["next_step_seconds"] for k in done]),
            "new_step_seconds": summary([k["new_step_seconds"] for k in done]),
            "steps_lost": summary([k["steps_lost"] for k in done]), "each": kills}
