"""The test environment of a chaos run: folder, data, recipe, binaries, and a small file system to fill up."""
import os
import pathlib
import shutil
import socket
import tempfile

from . import processes

# Small enough that a step takes about a tenth of a second. With 47 clips the last step of an epoch has a lane half
# full and one empty. There are more epochs than anybody waits for; `--steps` decides where training ends.
RECIPE = """\
name: chaos
seed: {seed}
model: {{depth: 50, width: 8, groups: 4, input_size: 64, dropout: 0.3, classes: 6}}
optimizer: {{learning_rate: 0.01}}
schedule: {{epochs: {epochs}, warmup_epochs: 1}}
batch: {{lanes: 5, clips_per_lane: 2}}
data: {{path: {data}, flip: false}}
exchange: {{shared_memory: {shared}}}
checkpoint: {{every_steps: {every}, keep: {keep}}}
faults: {{suspect_seconds: 1, evict_seconds: 3, join_seconds: 5, link_seconds: 3, orphan_seconds: 90, restarts: 1000}}
"""
CLIPS = 47
STEPS_PER_EPOCH = 5


class Failure(Exception):
    """An invariant that does not hold, in one line."""


def free_port():
    """A port of the loopback interface that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Environment:
    """The folder of one chaos run. `close` removes it, and the file system mounted in it."""

    def __init__(self, binaries, seed, minutes, shared_memory):
        self.coordinator = self._binary(binaries, "coordinator")
        self.worker = self._binary(binaries, "worker")
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="tamring-chaos-"))
        self.disk = self.folder / "disk"
        self.run = self.disk / "run"
        self.logs = self.folder / "logs"
        self.recipe = self.folder / "chaos.yaml"
        self.reference_recipe = self.folder / "reference.yaml"
        self.reference = self.folder / "reference"
        self.is_mounted = False
        try:
            self._prepare(seed, minutes, shared_memory)
        except BaseException:
            self.close(False)
            raise

    def _prepare(self, seed, minutes, shared_memory):
        self.disk.mkdir()
        self.logs.mkdir()
        (self.folder / "mounts").mkdir()
        self.is_mounted = self._mount()
        self.data = data = self.folder / "data"
        made = processes.run(
            [self.coordinator, "demo-data", data, "--train", str(CLIPS), "--validation", "9"])
        if made.returncode != 0:
            raise Failure(f"no demo data: {made.stdout.strip()}")
        values = {"seed": seed, "epochs": max(1000, int(minutes * 500)), "data": data,
                  "shared": str(shared_memory).lower()}
        self.recipe.write_text(RECIPE.format(every=25, keep=2, **values))
        # The undisturbed run keeps all its checkpoints, since nobody knows how far the other run gets.
        self.every = 20 if minutes <= 2 else 100
        self.reference_recipe.write_text(RECIPE.format(every=self.every, keep=1000, **values))

    @staticmethod
    def _binary(folder, name):
        path = pathlib.Path(folder).resolve() / name
        if not os.access(path, os.X_OK):
            raise Failure(f"{path} is missing: build with `swift build -c release`, or name another folder with --bin")
        return path

    def hosts(self, name, text):
        path = self.folder / f"{name}.hosts"
        path.write_text(text + "\n")
        return path

    # Each worker's own link to the data, which can disappear like a mount that drops

    def mount(self, rank):
        """The data path of a rank's worker."""
        path = self.folder / "mounts" / f"rank-{rank}"
        if not path.is_symlink() and not self._away(path).is_symlink():
            path.symlink_to(self.data)
        return path

    @staticmethod
    def _away(path):
        return path.with_name(path.name + ".away")

    def take_data(self, ranks):
        for rank in ranks:
            path = self.mount(rank)
            path.rename(self._away(path))

    def return_data(self, ranks):
        for rank in ranks:
            path = self.mount(rank)
            self._away(path).rename(path)

    # The file system to fill up

    def _mount(self):
        if os.geteuid() != 0 or not shutil.which("mount"):
            return False
        mounted = processes.run(
            ["mount", "-t", "tmpfs", "-o", "size=96m,mode=0755", "tamring-chaos", self.disk])
        return mounted.returncode == 0

    def fill(self):
        """Takes all the space left on the run's file system. It may be called again before `free`."""
        with open(self.disk / "filler", "ab", buffering=0) as filler:
            for size in (1 << 20, 4096, 1):
                try:
                    while True:
                        filler.write(b"\0" * size)
                except OSError:
                    continue

    def free(self):
        (self.disk / "filler").unlink(missing_ok=True)

    def close(self, keep):
        if keep and self.is_mounted and self.run.exists():
            self.free()
            shutil.copytree(self.run, self.folder / "run", dirs_exist_ok=True)
        if self.is_mounted:
            processes.run(["umount", "-l", self.disk])
        if not keep:
            shutil.rmtree(self.folder, ignore_errors=True)
