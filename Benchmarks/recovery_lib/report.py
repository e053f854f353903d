"""The machine, the table, and where it is written."""
import os
import pathlib
import platform
import shutil
import time

BEGIN, END = "<!-- figures: written by Benchmarks/recovery -->", "<!-- end of figures -->"

HEAD = ["| from SIGKILL | median | p90 | max |", "| --- | --- | --- | --- |"]


def machine():
    """What the figures depend on, without names of hosts."""
    model = "unknown"
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    facts = pathlib.Path("/proc/meminfo").read_text().splitlines()
    memory = next(line for line in facts if line.startswith("MemTotal"))
    return {"date": time.strftime("%Y-%m-%d"), "cpu": model, "cores": os.cpu_count(),
            "memory_gib": round(int(memory.split()[1]) / 2**20), "kernel": platform.release().split("-")[0],
            "load_at_start": round(os.getloadavg()[0], 1)}


def _row(name, figures):
    if figures is None:
        return f"| {name} | – | – | – |"
    return f"| {name} | {figures['median']:.2f} | {figures['p90']:.2f} | {figures['max']:.2f} |"


def table(result):
    """Markdown."""
    at = result["machine"]
    lines = [f"{at['date']}, {at['cores']} cores of {at['cpu']}, {at['memory_gib']} GiB, Linux {at['kernel']}, load "
             f"average {at['load_at_start']} at the start, seed {result['seed']}."]
    ours = result.get("tamring")
    if ours:
        lines += ["", f"**Tamring**, {ours['workers']} workers: {ours['kills']} kills, {ours['hung']} without "
                  f"recovery, {ours['steps_lost']} steps lost. Seconds:", "", *HEAD,
                  _row("to the next committed step, **beyond the recomputation** of the lost lanes",
                       ours["beyond_seconds"]),
                  _row("… of workers that had lanes", ours["beyond_seconds_with_lanes"]),
                  _row("… of workers that had none", ours["beyond_seconds_without_lanes"]),
                  _row("to the next committed step, raw", ours["next_commit_seconds"]),
                  _row("to the new generation in the journal", ours["generation_made_seconds"]),
                  _row("(waiting for the lost lanes' clips to be decoded)", ours["decode_wait_seconds"]),
                  _row("(computing one lane, undisturbed)", ours["lane_compute_seconds"]),
                  _row("(a step, undisturbed)", ours["undisturbed_step_seconds"])]
    peer = result.get("torchrun")
    if peer:
        for name in [n for n, value in peer.items() if isinstance(value, dict)]:
            theirs = peer[name]
            lines += ["", f"**torchrun**, {name} (PyTorch {peer['pytorch']}, gloo, {peer['workers']} ranks with "
                      f"{peer['clips_of_a_rank']} clips each, a checkpoint every {peer['checkpoint_every']} steps): "
                      f"{theirs['kills']} kills, {theirs['hung']} without recovery. Seconds, or steps:", "",
                      *HEAD,
                      _row("to the next finished step (one that was finished before)", theirs["next_step_seconds"]),
                      _row("to the first step that had not been finished before", theirs["new_step_seconds"]),
                      _row("steps lost and computed again", theirs["steps_lost"]),
                      _row("(a step, undisturbed)", theirs["undisturbed_step_seconds"])]
    return "\n".join(lines) + "\n"


def put_into_readme(path, text):
    """Replaces what is between the two marks."""
    before, _, rest = path.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    path.write_text(f"{before}{BEGIN}\n\n{text}\n{END}{after}")


def remove(folder):
    shutil.rmtree(folder, ignore_errors=True)
