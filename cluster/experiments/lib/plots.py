"""Draws the figure of a question: a panel for each data set (and cost). Points are means, bars the standard deviation
over the seeds, dashes the seeds; a dotted line is chance."""

import statistics

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

import settings
from results import deviation

COLOURS = {"blvnet-tam": "#0b6fa4", "blvnet": "#7f7f7f", "blvnet-tsm": "#d9822b", "tsn": "#2f8f4e", "i3d": "#a83a5b"}
matplotlib.rcParams.update({"svg.hashsalt": "tamring", "font.size": 9, "axes.spines.top": False, "axes.spines.right": False})


def draw(question, results, costs, paths):
    """Draws what there is of a question to each of `paths`; nothing where there are no runs."""
    series = {
        data: [(network, frames, values) for network, frames in settings.QUESTIONS[question]
               if (values := [100 * r.top1 for r in results if (r.data, r.network, r.frames) == (data, network, frames)])]
        for data in settings.DATA}
    series = {data: points for data, points in series.items() if points}
    if not series:
        return
    figure = {"cost": draw_costs, "frames": draw_frames}.get(question, draw_pairs)(series, costs)
    figure.suptitle(settings.TITLES[question])
    for path in paths:
        figure.savefig(path, dpi=150, metadata={"Date": None} if path.suffix == ".svg" else None)
    plt.close(figure)


def panels(rows, columns):
    return plt.subplots(
        rows, columns, figsize=(3.1 * columns + 0.6, 2.7 * rows + 0.5), squeeze=False, layout="constrained")


def accuracy_axis(axes, data):
    """From 0 up, with a dotted line at chance."""
    axes.axhline(100 / settings.DATA[data].classes, linestyle=":", color="#999999", linewidth=1)
    axes.set_ylim(bottom=0)


def point(axes, x, values, network, label=None):
    axes.errorbar(
        x, statistics.mean(values), yerr=deviation(values), fmt="o", capsize=3, color=COLOURS[network], label=label)
    axes.plot([x] * len(values), values, "_", color=COLOURS[network], alpha=0.6)


def draw_costs(series, costs):
    kinds = [
        ("M multiply-adds a clip", lambda c: c.multiply_adds / 1e6), ("MB of a step of one clip", lambda c: c.megabytes),
        ("ms of a step, a clip", lambda c: 1000 * c.seconds)]
    figure, axes = panels(len(series), len(kinds))
    for row, (data, points) in zip(axes, series.items()):
        for axis, (title, value) in zip(row, kinds):
            for network, frames, values in points:
                cost = next(c for c in costs if (c.network, c.frames) == (network, frames))
                point(axis, value(cost), values, network, network)
            axis.set_xlabel(title)
            axis.set_xlim(left=0)
            accuracy_axis(axis, data)
        row[0].set_ylabel(f"{data}: top-1 %")
        row[0].legend(frameon=False)
    return figure


def draw_frames(series, costs):
    figure, axes = panels(1, len(series))
    for axis, (data, points) in zip(axes[0], series.items()):
        for network, frames, values in points:
            point(axis, frames, values, network)
        axis.plot([p[1] for p in points], [statistics.mean(p[2]) for p in points], color=COLOURS["blvnet-tam"])
        axis.set_xscale("log", base=2)
        axis.set_xticks([p[1] for p in points], [str(p[1]) for p in points])
        axis.set_xlabel(f"frames, {data}")
        axis.margins(x=0.1)
        accuracy_axis(axis, data)
    axes[0][0].set_ylabel("top-1 %")
    return figure


def draw_pairs(series, costs):
    figure, axes = panels(1, len(series))
    for axis, (data, points) in zip(axes[0], series.items()):
        for place, (network, frames, values) in enumerate(points):
            point(axis, place, values, network)
        axis.set_xticks(range(len(points)), [p[0] for p in points])
        axis.set_xlabel(data)
        axis.margins(x=0.4)
        accuracy_axis(axis, data)
    axes[0][0].set_ylabel("top-1 %")
    return figure
