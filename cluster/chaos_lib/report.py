"""The report: a line for each fault, a table by kind, and after a failure the last lines of all logs."""
import statistics


def line(number, fault, outcome):
    details = " ".join(f"{key}={value}" for key, value in fault.items() if key not in ("kind", "after", "count"))
    parts = [f"{number:4}  {outcome.label:36} {details:38}", f"pause {_seconds(outcome.pause)}"]
    parts.append("whole again" if outcome.settled is not None else "not whole")
    for name in ("died", "evicted", "returned", "rolled_back"):
        if value := getattr(outcome, name):
            parts.append(f"{name.replace('_', ' ')} {value}")
    if outcome.away is not None:
        parts.append(f"{outcome.away} steps meanwhile")
    return "  ".join(parts + outcome.remarks)


def _seconds(value):
    return "-" if value is None else f"{value:.2f} s"


def table(outcomes):
    """Faults by kind, how many, and what became of them. `pause`: the longest time without a committed step."""
    by_label = {}
    for outcome in outcomes:
        by_label.setdefault(outcome.label, []).append(outcome)
    head = ["fault", "times", "recovered", "pause median", "longest", "died", "evicted", "came back", "notes"]
    rows = [head]
    for label, group in sorted(by_label.items()):
        pauses = [outcome.pause for outcome in group if outcome.pause is not None]
        notes = []
        away = [outcome.away for outcome in group if outcome.away is not None]
        if away:
            notes.append(f"{sum(away)} steps committed meanwhile")
        if rolled := sum(outcome.rolled_back for outcome in group):
            notes.append(f"{rolled} steps computed again")
        if late := sum(outcome.settled is None for outcome in group):
            notes.append(f"{late} not whole in time")
        rows.append([
            label, str(len(group)), str(len(pauses)), _seconds(statistics.median(pauses) if pauses else None),
            _seconds(max(pauses, default=None)), str(sum(outcome.died for outcome in group)),
            str(sum(outcome.evicted for outcome in group)), str(sum(outcome.returned for outcome in group)),
            "; ".join(notes)])
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    lines = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |" for row in rows]
    lines.insert(1, "| " + " | ".join("-" * width for width in widths) + " |")
    return "\n".join(lines)


def last_words(environment):
    """The ends of the coordinators' output and of every log."""
    lines = []
    for path, count in [(path, 40) for path in sorted(environment.folder.glob("*.log"))] + [
            (path, 6) for folder in (environment.logs, environment.run / "logs") if folder.exists()
            for path in sorted(folder.glob("*.log"))]:
        text = path.read_bytes()[-20000:].decode(errors="replace").splitlines()[-count:]
        lines += [f"--- {path.relative_to(environment.folder)}"] + text
    return "\n".join(lines)
