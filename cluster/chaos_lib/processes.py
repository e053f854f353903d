"""Processes of the chaos run: started here, ended here, each by its own id; orphans are adopted and reaped."""
import ctypes
import os
import pathlib
import resource
import shutil
import signal
import subprocess
import threading

_lock = threading.RLock()
_own = {}
_pdeathsig = ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []
PR_SET_CHILD_SUBREAPER = 36


def adopt_orphans():
    """Workers whose coordinator was killed become children of this process, and leave no zombies."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def start(command, log, **variables):
    """A process in a session of its own, without standard input, output appended to `log`; it dies with this one."""
    with _lock, open(log, "ab") as output:
        process = subprocess.Popen(
            _pdeathsig + [str(word) for word in command], stdin=subprocess.DEVNULL, stdout=output,
            stderr=subprocess.STDOUT, start_new_session=True, env={**os.environ, **variables})
        _own[process.pid] = process
        return process


def run(command, timeout=600):
    """Runs a command to its end, and returns it with its output, errors included."""
    with _lock:
        process = subprocess.Popen(
            _pdeathsig + [str(word) for word in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, start_new_session=True, text=True)
        _own[process.pid] = process
    try:
        output, _ = process.communicate(timeout=timeout)
    except BaseException:
        process.kill()
        process.wait()
        raise
    finally:
        _own.pop(process.pid, None)
    return subprocess.CompletedProcess(command, process.returncode, output)


def kill(pid, number):
    """Sends a signal; false where there is no such process any more."""
    try:
        os.kill(pid, number)
        return True
    except ProcessLookupError:
        return False


def use_up_descriptors(pid):
    """Lets a process open nothing more than it has open now.

    - Returns the limits that it had, or None where there is no such process any more.
    """
    try:
        used = {int(entry.name) for entry in pathlib.Path(f"/proc/{pid}/fd").iterdir()}
        free = next(number for number in range(len(used) + 1) if number not in used)
        hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)[1]
        # A new descriptor gets the lowest free number, which must be below the limit.
        return resource.prlimit(pid, resource.RLIMIT_NOFILE, (free, hard))
    except (FileNotFoundError, ProcessLookupError):
        return None


def limit_descriptors(pid, limits):
    """Gives back what `use_up_descriptors` took, where the process still lives."""
    try:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)
    except ProcessLookupError:
        pass


def reap_orphans():
    """Takes the exit codes of adopted children, as init would."""
    with _lock:
        for task in pathlib.Path("/proc/self/task").iterdir():
            try:
                children = (task / "children").read_text().split()
            except OSError:
                continue
            for pid in map(int, children):
                if pid in _own:
                    continue
                try:
                    os.waitpid(pid, os.WNOHANG)
                except ChildProcessError:
                    pass


def workers(*endpoints):
    """The worker processes that connect to one of `endpoints`, which are ours alone: (rank, pid), newest last."""
    wanted = {endpoint.encode() for endpoint in endpoints}
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
            if wanted.isdisjoint(words) or not words[0].endswith(b"/worker") or b"--rank" not in words:
                continue
            started = int((entry / "stat").read_text().rpartition(")")[2].split()[19])
        except (OSError, ValueError, IndexError):
            continue
        found.append((started, int(words[words.index(b"--rank") + 1]), int(entry.name)))
    return [(rank, pid) for _, rank, pid in sorted(found)]


def end_all(endpoints):
    """Ends everything that was started here, and the workers that our coordinators started."""
    for _ in range(3):
        for process in list(_own.values()):
            if process.poll() is None:
                process.kill()
                process.wait()
        for _, pid in workers(*endpoints):
            kill(pid, signal.SIGKILL)
        reap_orphans()
