"""What runs found: reads runs and measures costs; the tables as CSV and Markdown."""

import csv
import json
import os
import re
import sqlite3
import statistics
import subprocess
from dataclasses import astuple, dataclass, fields

import settings
from runs import Failure


@dataclass
class Result:
    """A finished run. Accuracies are parts of 1, the loss is the mean over the validation clips.

    group: of the clips whose class has a group, the part that was taken for a class of that group; within: of those, the
    part that is right.
    """

    data: str
    network: str
    frames: int
    seed: int
    clips: int
    top1: float
    top5: float
    loss: float
    group: float
    within: float
    recipe: str  # its digest


def read_result(runs, run):
    path = runs.directory(run) / "run.db"
    database = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        clips, top1, top5, loss = database.execute(
            "SELECT clips, top1, top5, loss_sum FROM evaluations ORDER BY step DESC, id DESC LIMIT 1").fetchone()
    finally:
        database.close()
    with open(runs.directory(run) / "confusion.csv", newline="") as file:
        group, within = grouped(list(csv.reader(file)), run.data)
    return Result(
        run.data.name, run.network, run.frames, run.seed, clips, top1 / clips, top5 / clips, loss / 2**32 / clips,
        group, within, run.recipe_digest)


def earlier_results(path):
    """What an earlier call has written to this file, by the digest of the recipe; nothing if it is not there."""
    return {row.recipe: row for row in read_csv(path, Result)} if path.exists() else {}


def grouped(rows, data):
    """Of the clips whose class has a group, the part within that group; of those, the part that is right.

    `rows` is a confusion matrix: the first row names the predicted classes, and the first column the true ones.
    """
    labels = rows[0][1:]
    total = inside = right = 0
    for label, *counts in rows[1:]:
        group = data.group(label)
        for predicted, count in zip(labels, map(int, counts)):
            total += count if group else 0
            inside += count if predicted in group else 0
            right += count if predicted in group and predicted == label else 0
    return inside / total, right / inside if inside else 0.0


@dataclass
class Cost:
    """What a network takes: multiply-adds of a clip's forward pass, without the classifier; the memory that a training
    step of one clip is planned to take; the time of a training step on one core, by its clips."""

    network: str
    frames: int
    parameters: int
    multiply_adds: int
    megabytes: float
    seconds: float


def measure_cost(runs, network, frames, steps=30):
    """The lowest time of the steps counts: whatever else runs only adds to it."""
    recipe = runs.folder / "recipes" / f"cost-{network}-{frames}.yaml"
    recipe.write_text(settings.Run(network, frames, settings.DATA["long"], 1).recipe)

    def ask(*command):
        finished = subprocess.run(
            [runs.worker, *command, "--recipe", recipe], capture_output=True, text=True,
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"})
        if finished.returncode:
            raise Failure(f"worker {command[0]} of {network}: {finished.stderr.strip()}", finished.returncode)
        return finished.stdout

    profile = ask("profile", "--measure")
    times = [json.loads(line) for line in ask("bench", "step", "--steps", str(steps)).splitlines()]

    def find(pattern):
        match = re.search(pattern, profile, re.MULTILINE)
        if not match:
            raise Failure(f"worker profile of {network} printed no line like: {pattern}")
        return match[1]

    return Cost(
        network, frames, int(find(r"^total\s+(\d+)")), int(find(r"as papers count: (\d+)")),
        float(find(r"planned ([\d.]+) MB")), min(step["seconds"] / step["clips"] for step in times))


def write_csv(path, kind, rows):
    with open(path, "w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(field.name for field in fields(kind))
        writer.writerows([f"{value:.6g}" if isinstance(value, float) else value for value in astuple(row)] for row in rows)


def read_csv(path, kind):
    with open(path, newline="") as file:
        return [kind(*(field.type(row[field.name]) for field in fields(kind))) for row in csv.DictReader(file)]


def spread(values):
    """Mean and, of several values, the standard deviation, in percent as text."""
    mean = f"{100 * statistics.mean(values):.1f}"
    return mean if len(values) == 1 else f"{mean} ± {100 * deviation(values):.1f}"


def deviation(values):
    return statistics.stdev(values) if len(values) > 1 else 0.0


def section(question, results, costs):
    """A question's title, the table of the runs that are there, and its plot, as Markdown."""
    header = "| data | network | frames | seeds | top-1 % | top-5 % | right group % | right within group % |"
    if question == "cost":
        header += " M multiply-adds | MB | ms |"
    lines = [f"## {question}: {settings.TITLES[question]}", "", header, "| --- " * (header.count("|") - 1) + "|"]
    for data in settings.DATA:
        for network, frames in settings.QUESTIONS[question]:
            chosen = [r for r in results if (r.data, r.network, r.frames) == (data, network, frames)]
            if not chosen:
                continue
            cells = [data, f"`{network}`", str(frames), str(len(chosen))]
            cells += [spread([getattr(r, key) for r in chosen]) for key in ("top1", "top5", "group", "within")]
            if question == "cost":
                cost = next(c for c in costs if (c.network, c.frames) == (network, frames))
                cells += [f"{cost.multiply_adds / 1e6:.1f}", f"{cost.megabytes:.1f}", f"{1000 * cost.seconds:.1f}"]
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join([*lines, "", f"![{settings.TITLES[question]}]({question}.svg)", ""])
