"""Trains and evaluates: a run for each network, data set and seed, in one folder for all questions."""

import pathlib
import shutil
import signal
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent


class Failure(Exception):
    """What went wrong, where, and what to do, in a line; with the exit code."""

    def __init__(self, text, code=1):
        super().__init__(text)
        self.code = code


def execute(command, log, what):
    """Runs a command to its end with its output in the file `log`. Ctrl-C reaches it too, and is waited for."""
    with open(log, "a") as output:
        process = subprocess.Popen([str(part) for part in command], stdout=output, stderr=subprocess.STDOUT)
        stop = signal.signal(signal.SIGTERM, lambda *_: process.terminate())
        try:
            code = process.wait()
        except KeyboardInterrupt:
            code = process.wait()
        signal.signal(signal.SIGTERM, stop)
    if code == 130 or code < 0:
        raise Failure(f"{what}: interrupted; the same command goes on", 130)
    if code:
        last = log.read_text().strip().splitlines()[-1:] or ["no output"]
        raise Failure(f"{what} failed with exit code {code}: {last[0]} (see {log})", code)


class Runs:
    """The folder with data sets, recipes and runs.

    FOLDER/DATA is a data set; FOLDER/recipes/NAME.yaml the recipe of FOLDER/runs/NAME, whose confusion.csv is written
    last; FOLDER/logs/NAME.log is what the programs printed.
    """

    def __init__(self, folder, programs, workers):
        self.folder, self.workers = folder, workers
        self.coordinator, self.worker = programs / "coordinator", programs / "worker"
        for program in (self.coordinator, self.worker):
            if not program.is_file():
                raise Failure(f"{program}: not found; build it, or name its folder with --programs", 69)
        for name in ("recipes", "runs", "logs"):
            (folder / name).mkdir(parents=True, exist_ok=True)

    def make_data(self, data):
        """Makes a data set, or what is missing of it."""
        command = {
            "long": [self.coordinator, "demo-data", self.folder / "long", "--set", "long"],
            "physical": [sys.executable, "-B", HERE / "physical.py", self.folder / "physical"],
        }[data.name]
        execute(command, self.folder / "logs" / f"{data.name}.log", f"data set {data.name}")

    def directory(self, run):
        return self.folder / "runs" / run.name

    def is_done(self, run):
        self.check(run)
        return (self.directory(run) / "confusion.csv").exists()

    def recipe(self, run):
        return self.folder / "recipes" / f"{run.name}.yaml"

    def check(self, run):
        """Runs are not gone on with, nor compared, after the settings have changed."""
        if self.recipe(run).exists() and self.recipe(run).read_text() != run.recipe:
            raise Failure(
                f"{self.recipe(run)}: this run was begun with other settings; give another --folder, or remove it and"
                f" {self.directory(run)}", 78)

    def train(self, run):
        """Trains and evaluates a run from where it is."""
        self.recipe(run).write_text(run.recipe)
        directory, log = self.directory(run), self.folder / "logs" / f"{run.name}.log"
        self.share_index(run)
        where = [
            "--recipe", self.recipe(run), "--run-dir", directory, "--workers", self.workers,
            "--listen", "tcp://127.0.0.1:0"]
        execute([self.coordinator, "train", *where], log, run.name)
        part = directory / "confusion.part.csv"
        execute(
            [self.coordinator, "evaluate", *where, "--checkpoint", directory, "--confusion", part], log,
            f"{run.name}, evaluation")
        part.rename(directory / "confusion.csv")

    def share_index(self, run):
        """The index of a data set is made once, and copied: it takes longer than the start of a run."""
        index = self.folder / "runs" / f"{run.data.name}-index"
        if not (index / "complete").exists():
            execute(
                [self.coordinator, "index", "--recipe", self.recipe(run), "--run-dir", index],
                self.folder / "logs" / f"{run.data.name}-index.log", f"index of {run.data.name}")
            (index / "complete").touch()
        if not self.directory(run).exists():
            part = self.directory(run).with_suffix(".part")
            shutil.rmtree(part, ignore_errors=True)
            shutil.copytree(index / "index", part / "index")
            part.rename(self.directory(run))
