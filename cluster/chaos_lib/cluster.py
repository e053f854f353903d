"""A coordinator and its workers, as processes. The coordinator starts the workers, or this module, behind relays."""
import signal
import subprocess
import threading
import time

from . import processes
from .environment import Failure, free_port
from .journal import Journal
from .proxy import Proxies

THREADS = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


class Cluster:
    """One run directory's processes for as long as one kind of launch is used."""

    def __init__(self, environment, launch, workers, seed):
        self.environment = environment
        self.launch = launch
        self.journal = Journal(environment.run / "run.db")
        self.port = free_port()
        self.endpoint = f"tcp://127.0.0.1:{self.port}"
        self.hosts = environment.hosts(
            launch, "\n".join(f"localhost slots=1 data={environment.mount(rank)}" for rank in range(workers)))
        self.log = environment.folder / f"coordinator-{launch}.log"
        self.coordinator = None
        self.proxies = Proxies(seed) if launch == "none" else None
        self.base = list(range(workers))
        self.extra = []
        self.killed = set()
        self.surprises = []
        self._supervised = {}
        self._ports = {}
        # What workers behind a relay take for the coordinator, by rank.
        self._relayed = {}
        self._wanted = set(self.base) if launch == "none" else set()
        self._restarts = True
        # Its thread must outlive the workers that it started: they die with it.
        self._closing = threading.Event()
        self._lock = threading.RLock()
        self._supervisor = threading.Thread(target=self._supervise, daemon=True)
        self._supervisor.start()

    # The coordinator

    @property
    def _plain(self):
        """The relays read whose connection is whose."""
        return ["--insecure"] if self.proxies else []

    def command(self, *more):
        return [self.environment.coordinator, "train", "--workers", self.hosts, "--recipe", self.environment.recipe,
                "--run-dir", self.environment.run, "--listen", self.endpoint, "--launch", self.launch, *self._plain, *more]

    def start_coordinator(self):
        self.coordinator = processes.start(self.command(), self.log)

    def kill_coordinator(self):
        self.coordinator.kill()
        self.coordinator.wait()
        self.coordinator = None

    def check_coordinator(self):
        if self.coordinator is not None and self.coordinator.poll() is not None:
            raise Failure(f"the coordinator ended by itself with code {self.coordinator.returncode}")

    def stop(self):
        """As Ctrl-C does: at the next boundary, with a checkpoint."""
        self._restarts = False
        self.coordinator.send_signal(signal.SIGINT)
        try:
            code = self.coordinator.wait(60)
        except subprocess.TimeoutExpired:
            raise Failure("the coordinator did not stop within 60 s of SIGINT") from None
        if code != 130:
            raise Failure(f"the coordinator was stopped by SIGINT and ended with code {code} instead of 130")
        self.close()
        left = self.pids()
        if left:
            raise Failure(f"workers are left after the run was stopped: {left}")

    def close(self):
        for process in self._supervised.values():
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._closing.set()
        self._supervisor.join(5)
        if self.proxies:
            self.proxies.close()
            self.proxies = None

    # Workers

    def pids(self):
        return processes.workers(self.endpoint, *self._relayed.values())

    def pid(self, rank):
        """The process of a rank, waited for a while: it may be on its way."""
        deadline = time.monotonic() + 15
        while time.monotonic() < deadline:
            found = [pid for other, pid in self.pids() if other == rank]
            if found:
                return found[-1]
            time.sleep(0.05)
        return None

    def kill(self, ranks, number=signal.SIGKILL):
        """All at once: the ids are looked up before the first dies."""
        pids = [pid for rank, pid in self.pids() if rank in ranks]
        self.killed.update(pids)
        for pid in pids:
            processes.kill(pid, number)
        return pids

    def join(self, rank):
        """One more worker than the hosts file names, started here."""
        with self._lock:
            self.extra.append(rank)
            self._start_worker(rank)

    def leave(self, rank, number):
        with self._lock:
            self.extra.remove(rank)
        return self.kill([rank], number)

    @property
    def ranks(self):
        return tuple(sorted(self.base + self.extra))

    def _start_worker(self, rank):
        log = self.environment.logs / f"rank-{rank}.log"
        if self.proxies and rank not in self._ports:
            self._ports[rank] = free_port()
            self.proxies.add(rank, self._ports[rank], self.port)
            self._relayed[rank] = f"tcp://127.0.0.1:{self.proxies.to_coordinator[rank].port}"
        coordinator = self._relayed.get(rank, self.endpoint)
        command = [self.environment.worker, "--rank", rank, "--coordinator", coordinator,
                   "--data", self.environment.mount(rank), *self._plain]
        if self.proxies:
            command += ["--listen", f"127.0.0.1:{self._ports[rank]}",
                        "--advertise", f"127.0.0.1:{self.proxies.by_rank[rank].port}"]
        self._supervised[rank] = processes.start(command, log, **THREADS)

    def _supervise(self):
        """Starts workers again that ended, after a moment, as an operator's supervisor does; reaps orphans."""
        ended = {}
        while not self._closing.wait(0.1):
            processes.reap_orphans()
            if not self._restarts:
                continue
            with self._lock:
                for rank in sorted(self._wanted):
                    process = self._supervised.get(rank)
                    if process is not None and process.poll() is None:
                        continue
                    if process is not None and process.pid not in self.killed and rank not in ended:
                        self.surprises.append(f"worker {rank} ended by itself with code {process.returncode}")
                    since = ended.setdefault(rank, time.monotonic() - (0.5 if process is None else 0))
                    if time.monotonic() - since >= 0.5:
                        del ended[rank]
                        self._start_worker(rank)
                for rank in self.extra:
                    process = self._supervised[rank]
                    if process.poll() is not None and rank not in ended:
                        if process.pid not in self.killed:
                            self.surprises.append(f"worker {rank} ended by itself with code {process.returncode}")
                        self._start_worker(rank)
