"""Two network namespaces joined by a line of limited rate: the nearest to two machines that one machine has."""
import os
import shutil
import subprocess

from recovery_lib.common import BenchmarkError

INTERFACE = "line"
# Bytes that may go out at once, and how long the queue may become: TCP fills the line with these.
BURST, LATENCY = "256kb", "50ms"


def _run(*words):
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True)
    if done.returncode:
        raise BenchmarkError(f"{' '.join(map(str, words))}: {done.stderr.strip() or done.returncode}")


def missing():
    """Why there can be no namespaces here; None if there can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    absent = [name for name in ("ip", "tc") if shutil.which(name) is None]
    if absent:
        return f"{' and '.join(absent)} not found: apt-get install iproute2"
    return None


class JoinedNamespaces:
    """`with JoinedNamespaces() as both`: they are removed at the end, however it comes."""

    def __init__(self):
        # Names of this process only: two runs do not meet.
        self.names = [f"tamring-{os.getpid()}-{side}" for side in (0, 1)]
        self.addresses = ["10.111.0.1", "10.111.0.2"]

    def __enter__(self):
        try:
            for name in self.names:
                _run("ip", "netns", "add", name)
            a, b = self.names
            # Made inside of them: the machine's own interfaces are not touched.
            _run("ip", "-n", a, "link", "add", INTERFACE, "type", "veth", "peer", "name", INTERFACE, "netns", b)
            for name, address in zip(self.names, self.addresses):
                _run("ip", "-n", name, "address", "add", f"{address}/24", "dev", INTERFACE)
                _run("ip", "-n", name, "link", "set", INTERFACE, "up")
                _run("ip", "-n", name, "link", "set", "lo", "up")
        except BaseException:
            self.__exit__()
            raise
        return self

    def limit(self, megabits):
        """Bits per second that either end lets out, at once also for connections that are there."""
        for name in self.names:
            _run("tc", "-n", name, "qdisc", "replace", "dev", INTERFACE, "root", "tbf", "rate", f"{megabits}mbit",
                 "burst", BURST, "latency", LATENCY)

    def inside(self, side, command):
        return ["ip", "netns", "exec", self.names[side], *command]

    def __exit__(self, *_):
        for name in self.names:
            # One that was never made is no error here, and the other must go in any case.
            subprocess.run(["ip", "netns", "delete", name], capture_output=True)
