"""What runs found: reads runs and measures costs; the tables as CSV and Markdown."""

import csv
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
        group, within)


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
    """What a network takes: multiply-adds of a clip's forward pass; a training step of one clip on one core."""

    network: str
    frames: int
    parameters: int
    multiply_adds: int
    megabytes: float
    seconds: float


def measure_cost(runs, network, frames, rounds=5):
    """The lowest time of some rounds counts: whatever else runs only adds to it."""
    recipe = runs.folder / "recipes" / f"cost-{network}-{frames}.yaml"
    recipe.write_text(settings.Run(network, frames, settings.DATA["long"], 1).recipe)
    costs = []
    for _ in range(rounds):
        finished = subprocess.run(
            [runs.worker, "profile", "--recipe", recipe, "--measure"], capture_output=True, text=True)
        if finished.returncode:
            raise Failure(f"worker profile of {network} failed: {finished.stderr.strip()}", finished.returncode)
        costs.append(read_cost(finished.stdout, network, frames))
    return min(costs, key=lambda cost: cost.seconds)


def read_cost(text, network, frames):
    """Reads what `worker profile --measure` prints."""
    def find(pattern):
        match = re.search(pattern, text, re.MULTILINE)
        if not match:
            raise Failure(f"worker profile of {network} printed no line like: {pattern}")
        return match[1]

    return Cost(
        network, frames, int(find(r"^total\s+(\d+)")), int(find(r"as papers count: (\d+)")),
        float(find(r"planned ([\d.]+) MB")), float(find(r"MB, ([\d.]+) s$")))


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


def table(question, results, costs):
    """The Markdown table of a question, of the runs that are there."""
    lines = [
        "| data | network | frames | seeds | top-1 % | top-5 % | right group % | right within group % |"
        + (" M multiply-adds | MB | ms |" if question == "cost" else "")]
    lines.append("| --- " * (lines[0].count("|") - 1) + "|")
    for data in settings.DATA:
        for network, frames in settings.QUESTIONS[question]:
            chosen = [r for r in results if (r.data, r.network, r.frames) == (data, network, frames)]
            if not chosen:
                continue
            cells = [data, f"`{network}`", str(frames), str(len(chosen))]
            cells += [spread([getattr(r, key) for r in chosen]) for key in ("top1", "top5", "group", "within")]
            cost = next((c for c in costs if (c.network, c.frames) == (network, frames)), None)
            if question == "cost" and cost:
                cells += [f"{cost.multiply_adds / 1e6:.1f}", f"{cost.megabytes:.1f}", f"{1000 * cost.seconds:.1f}"]
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"
