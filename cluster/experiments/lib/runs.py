"""Trains and evaluates: a run for each network, data set and seed, in one folder for all questions."""

import pathlib
import shutil
import signal
import subprocess
import sys
import time

import settings

HERE = pathlib.Path(__file__).resolve().parent


class Failure(Exception):
    """What went wrong, where, and what to do, in a line; with the exit code."""

    def __init__(self, text, code=1):
        super().__init__(text)
        self.code = code


def run(command, log, what):
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
        run(command, self.folder / "logs" / f"{data.name}.log", f"data set {data.name}")

    def recipe(self, network, frames, data, seed):
        """The name of a run; its recipe is written. A run is never gone on with after its recipe has changed."""
        name = f"{data.name}-{network}-{frames}-seed{seed}"
        path = self.folder / "recipes" / f"{name}.yaml"
        text = settings.recipe(name, network, frames, data, seed)
        if path.exists() and path.read_text() != text:
            raise Failure(f"{path}: this run was begun with other settings; give another --folder, or remove it and {self.directory(name)}", 78)
        path.write_text(text)
        return name

    def directory(self, name):
        return self.folder / "runs" / name

    def is_done(self, name):
        return (self.directory(name) / "confusion.csv").exists()

    def train(self, name, data):
        """Trains and evaluates a run from where it is."""
        recipe, log, directory = (
            self.folder / "recipes" / f"{name}.yaml", self.folder / "logs" / f"{name}.log", self.directory(name))
        self.share_index(data, recipe, directory)
        where = ["--recipe", recipe, "--run-dir", directory, "--workers", self.workers, "--listen", "tcp://127.0.0.1:0"]
        began = time.monotonic()
        run([self.coordinator, "train", *where], log, name)
        part = directory / "confusion.part.csv"
        run([self.coordinator, "evaluate", *where, "--checkpoint", directory, "--confusion", part], log, f"{name}, evaluation")
        part.rename(directory / "confusion.csv")
        return time.monotonic() - began

    def share_index(self, data, recipe, directory):
        """The index of a data set is made once, and copied: it takes longer than the start of a run."""
        index = self.folder / "runs" / f"{data.name}-index"
        if not (index / "complete").exists():
            run([self.coordinator, "index", "--recipe", recipe, "--run-dir", index],
                self.folder / "logs" / f"{data.name}-index.log", f"index of {data.name}")
            (index / "complete").touch()
        if not directory.exists():
            part = directory.with_suffix(".part")
            shutil.rmtree(part, ignore_errors=True)
            shutil.copytree(index / "index", part / "index")
            part.rename(directory)
