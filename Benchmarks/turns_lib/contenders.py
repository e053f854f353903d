"""Programs that do one round for each line they are sent, and answer with lines of JSON."""
import json
import os
import select
import subprocess
import time

from recovery_lib.common import BenchmarkError, end

# A round that takes longer is taken for a hang.
PATIENCE = 300.0


def pinned(rank, command):
    """Each rank on one core of those that this program may use, in turn."""
    cores = sorted(os.sched_getaffinity(0))
    return ["taskset", "-c", str(cores[rank % len(cores)]), *map(str, command)]


class Process:
    """A process in a session of its own: Ctrl-C reaches the driver, which ends it. `inherit`: descriptors it gets."""

    def __init__(self, command, log, environment, inherit=()):
        self.log, self.buffer = log, b""
        with log.open("ab") as errors:
            self.process = subprocess.Popen(
                [str(word) for word in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors,
                env=os.environ | environment, start_new_session=True, pass_fds=inherit)

    def tell(self):
        self.process.stdin.write(b"\n")
        self.process.stdin.flush()

    def line(self):
        deadline = time.monotonic() + PATIENCE
        stream = self.process.stdout.fileno()
        while b"\n" not in self.buffer:
            if not select.select([stream], [], [], max(0, deadline - time.monotonic()))[0]:
                raise BenchmarkError(f"no answer within {PATIENCE:.0f} s: see {self.log}")
            more = os.read(stream, 1 << 16)
            if not more:
                raise BenchmarkError(f"ended early: {last_line(self.log)}")
            self.buffer += more
        line, _, self.buffer = self.buffer.partition(b"\n")
        return json.loads(line)

    def rest(self):
        """What it still says until it has ended by itself."""
        lines = (self.buffer + self.process.stdout.read()).decode().splitlines()
        self.process.wait()
        return lines

    def finish(self):
        """Closing its input lets it end by itself."""
        try:
            self.process.stdin.close()
        except OSError:
            pass  # It has ended.

    def close(self):
        self.finish()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            end(self.process, 5)


class PerRank:
    """A contender that is one process for each rank."""

    def __init__(self, name, commands, log, environment=None):
        self.name, self.ranks = name, []
        try:
            for command in commands:
                self.ranks.append(Process(command, log, environment or {}))
        except OSError as error:
            self.close()
            raise BenchmarkError(f"{name}: {error}") from error

    def round(self):
        """The answers of all ranks."""
        try:
            for process in self.ranks:
                process.tell()
            return [process.line() for process in self.ranks]
        except (BenchmarkError, BrokenPipeError) as error:
            raise BenchmarkError(f"{self.name}: {error}") from error

    def close(self):
        for process in self.ranks:
            process.finish()
        for process in self.ranks:
            process.close()


class Launched:
    """A contender that one launcher starts; each rank reads from a pipe of its own, and rank 0 answers for all."""

    def __init__(self, name, command, count, pipes, log, environment):
        self.name, self.count, self.pipes = name, count, []
        for rank in range(count):
            os.mkfifo(pipes / str(rank))
            # For reading as well: opening does not wait for the reader then.
            self.pipes.append(os.open(pipes / str(rank), os.O_RDWR))
        self.process = Process(command, log, environment)

    def round(self):
        try:
            for pipe in self.pipes:
                os.write(pipe, b"\n")
            return [self.process.line() for _ in range(self.count)]
        except (BenchmarkError, BrokenPipeError) as error:
            raise BenchmarkError(f"{self.name}: {error}") from error

    def close(self):
        for pipe in self.pipes:
            os.close(pipe)
        self.process.close()


def last_line(log):
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else f"nothing in {log}"
