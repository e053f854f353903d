"""Figures of several parts in one file, and their table in the README."""
import json
import pathlib
import subprocess

from recovery_lib.common import BenchmarkError, median
from recovery_lib.report import machine

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BIN = ROOT / ".build" / "release"


def facts(versions, program):
    """What a part's figures depend on. `program`: ours; the commit is told only of one that was built here."""
    known = machine() | versions
    if program.parent.resolve() == BIN.resolve():
        head = subprocess.run(["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
        known["commit"] = head.stdout.strip()
    return known


def pytorch(python):
    """The version of a Python's PyTorch."""
    asked = subprocess.run([python, "-c", "import torch; print(torch.__version__)"], capture_output=True, text=True)
    if asked.returncode:
        raise BenchmarkError(f"{python} has no PyTorch; name one that has with --peer-python", 69)
    return asked.stdout.strip()


def keep(path, part, figures):
    """Puts a part into the file, beside the others, and returns them all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    parts = json.loads(path.read_text()) if path.exists() else {}
    parts[part] = figures
    path.write_text(json.dumps(parts, indent=1) + "\n")
    return parts


def ratio(theirs, ours):
    """The median over the rounds of their time by ours in the same round: more than 1 where ours is faster."""
    return median([b / a for a, b in zip(ours, theirs)])


def put_into_readme(program, text):
    """Replaces what is between the marks of this program."""
    path = ROOT / "Benchmarks" / "README.md"
    begin, end = f"<!-- figures: written by Benchmarks/{program} -->", "<!-- end of figures -->"
    before, found, rest = path.read_text().partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"{path} has no place for the figures of {program}")
    path.write_text(f"{before}{begin}\n\n{text}\n{end}{after}")
