"""The invariants, read from run.db and the files; the undisturbed run; the audits; what a scenario expects."""
import hashlib
import re

from . import processes
from .environment import Failure
from .journal import Journal

# Events that say that ranks, or two computations of a step, disagreed.
DISAGREEMENT = re.compile(
    r"committed another sum|computed again, has digest|is not the others'|differ|corrupt|contradicts|a second time")


def newest(run):
    """The step of the newest checkpoint."""
    folders = sorted((run / "checkpoints").glob("step-*"))
    if not folders:
        raise Failure(f"{run} has no checkpoint")
    return int(folders[-1].name.removeprefix("step-"))


def checkpoint(run, step):
    return run / "checkpoints" / f"step-{step:08}"


def digests(folder):
    """SHA-256 of a checkpoint's files."""
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest()
            for name in ("model.safetensors", "trainer.safetensors")}


def invariants(run, clips, steps, allowed_disagreement=0):
    """What does not hold, one line each."""
    journal = Journal(run / "run.db")
    wrong = []
    # I3
    numbers = [step for step, in journal.query("SELECT step FROM steps WHERE rolled_back = 0 ORDER BY step")]
    if numbers != list(range(steps)):
        missing = sorted(set(range(steps)) - set(numbers))[:5]
        wrong.append(f"I3: live steps are not 0…{steps - 1} once each: {len(numbers)} rows, missing {missing}")
    # I2
    for epoch, consumed, different in journal.query(
            "SELECT c.epoch, count(*), count(DISTINCT c.clip) FROM consumed AS c JOIN steps AS s "
            "ON s.step = c.step AND s.epoch = c.epoch AND s.rolled_back = 0 GROUP BY c.epoch"):
        if consumed != clips or different != clips:
            wrong.append(f"I2: epoch {epoch} consumed {consumed} clips, {different} of them different, not {clips}")
    for epoch, consumed in journal.query("SELECT epoch, sum(clips) FROM steps WHERE rolled_back = 0 GROUP BY epoch"):
        if consumed != clips:
            wrong.append(f"I2: the steps of epoch {epoch} say that they consumed {consumed} clips, not {clips}")
    rows = journal.one("SELECT count(*) FROM consumed")
    epochs = len({epoch for epoch, in journal.query("SELECT DISTINCT epoch FROM steps WHERE rolled_back = 0")})
    if rows != clips * epochs:
        wrong.append(f"I2: the ledger has {rows} rows, expected {clips} clips × {epochs} epochs")
    # I4
    odd = [text for text, in journal.query("SELECT text FROM events ORDER BY id") if DISAGREEMENT.search(text)]
    if len(odd) > allowed_disagreement:
        wrong.append(f"I4: {len(odd)} events of disagreement, the first: {odd[0]}")
    # I8: no clip is bad, and the data always comes back.
    for what, sql in [
            ("steps have no clips", "SELECT count(*) FROM steps WHERE clips = 0"),
            ("clips were left out, though none is bad", "SELECT count(*) FROM verdicts"),
            ("pauses have no end", "SELECT count(*) FROM pauses WHERE ended_at IS NULL")]:
        if count := journal.one(sql):
            wrong.append(f"I8: {count} {what}")
    # I5
    for step, digests in journal.query(
            "SELECT step, count(DISTINCT digest || weights_digest || state_digest) AS n FROM steps "
            "GROUP BY step HAVING n > 1"):
        wrong.append(f"I5: step {step} was committed with {digests} different digests")
    for step, rows in journal.query(
            "SELECT step, count(*) AS n FROM steps WHERE rolled_back = 0 GROUP BY step HAVING n > 1"):
        wrong.append(f"I5: step {step} has {rows} live records")
    return wrong


def same_digests(run, reference):
    """The first step at which two runs' journals differ, or nothing."""
    sql = "SELECT step, digest, weights_digest FROM steps WHERE rolled_back = 0 ORDER BY step"
    ours, theirs = Journal(run / "run.db").query(sql), Journal(reference / "run.db").query(sql)
    for mine, other in zip(ours, theirs):
        if mine != other:
            return f"I1: step {mine[0]} is the first whose digests differ from the undisturbed run's"
    return None


def audits(environment):
    """Runs the two audits where they exist: (name, problem or None)."""
    results = []
    script = processes_folder() / "audit.py"
    if script.exists():
        done = processes.run(["python3", script, environment.run])
        results.append(("cluster/audit.py", _problem(done)))
    known = processes.run([environment.coordinator, "audit", "--help"])
    if known.returncode == 0 and "coordinator audit" in known.stdout:
        done = processes.run([environment.coordinator, "audit", environment.run])
        results.append(("coordinator audit", _problem(done)))
    return results


def _problem(done):
    return None if done.returncode == 0 else f"exit code {done.returncode}: {done.stdout.strip()[-1000:]}"


def processes_folder():
    import pathlib
    return pathlib.Path(__file__).resolve().parent.parent


def expectations(expect, outcomes, journal):
    """What a scenario says must hold at its end; what does not, one line each."""
    values = {
        "died": sum(outcome.died for outcome in outcomes),
        "evicted": sum(outcome.evicted for outcome in outcomes),
        "returned": sum(outcome.returned for outcome in outcomes),
        "rolled_back": journal.one("SELECT count(*) FROM steps WHERE rolled_back"),
        "members": journal.one("SELECT count(*) FROM members"),
        "generations": journal.one("SELECT count(*) FROM generations"),
        "steps_while_away": min((outcome.away for outcome in outcomes if outcome.away is not None), default=0),
        "not_whole": sum(outcome.settled is None for outcome in outcomes),
    }
    wrong = []
    for name, wanted in expect.items():
        # A number, or ["at least", n].
        value = values[name]
        holds = value >= wanted[1] if isinstance(wanted, list) else value == wanted
        if not holds:
            text = f"at least {wanted[1]}" if isinstance(wanted, list) else str(wanted)
            wrong.append(f"{name} is {value}, expected {text}")
    return wrong
