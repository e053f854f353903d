"""Answers the paper's four questions on two data sets with three seeds: trains what is missing, then makes tables and
plots. Whatever is done is kept: the same command goes on where it was cut, and runs whose results the folder of --out has
are not repeated."""

import argparse
import pathlib
import subprocess
import sys

import plots
import results
import settings
from runs import Failure, Runs

ROOT = pathlib.Path(__file__).resolve().parents[3]


def parse():
    parser = argparse.ArgumentParser(
        prog="cluster/experiments/run", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="questions:\n" + "\n".join(f"  {name:8} {title}" for name, title in settings.TITLES.items()))
    parser.add_argument("question", choices=[*settings.QUESTIONS, "all", "measure", "report"], help="or all of them; "
                        "measure: only multiply-adds, memory and seconds, best on an idle machine; "
                        "report: only make tables and plots of what is there")
    parser.add_argument("--folder", type=pathlib.Path, default=ROOT / "runs" / "experiments",
                        help="data and runs (runs/experiments)")
    parser.add_argument("--out", type=pathlib.Path, help="where tables and plots go, and results are that need not be "
                        "trained again; else --folder")
    parser.add_argument("--data", choices=list(settings.DATA), help="only this data set")
    parser.add_argument("--seeds", type=int, nargs="+", default=settings.SEEDS, metavar="N", help="the seeds (1 2 3)")
    parser.add_argument("--workers", type=pathlib.Path, default=ROOT / "cluster" / "hosts.txt",
                        help="the hosts file (cluster/hosts.txt)")
    parser.add_argument("--programs", type=pathlib.Path, help="the folder of coordinator and worker; else they are built")
    return parser.parse_args()


def build():
    """Builds Tamring; the folder of its programs."""
    command = ["swift", "build", "-c", "release", "-Xswiftc", "-enable-testing"]
    subprocess.run(command, cwd=ROOT, check=True)
    shown = subprocess.run([*command, "--show-bin-path"], cwd=ROOT, check=True, capture_output=True, text=True)
    return pathlib.Path(shown.stdout.strip())


def train(runs, wanted, table):
    """Trains what neither the folder nor the table of results has. Each result goes to the table at once."""
    earlier = results.earlier_results(table)
    missing = [run for run in wanted if run.recipe_digest not in earlier and not runs.is_done(run)]
    for data in dict.fromkeys(run.data for run in missing):
        runs.make_data(data)
    for number, run in enumerate(missing, 1):
        print(f"{number} of {len(missing)}: {run.name}", flush=True)
        runs.train(run)
        result = results.read_result(runs, run)
        print(f"  top-1 {100 * result.top1:.1f} %", flush=True)
        earlier[run.recipe_digest] = result
        results.write_csv(table, results.Result, earlier.values())


def measured_costs(runs, path, again):
    if again or not path.exists():
        networks = settings.networks(settings.QUESTIONS)
        results.write_csv(path, results.Cost, [results.measure_cost(runs, *network) for network in networks])
    return results.read_csv(path, results.Cost)


def report(runs, questions, seeds, costs, out):
    """Writes the figures of the runs that are there to the folder `out`; prints the tables of the questions."""
    every = settings.runs(settings.QUESTIONS, settings.DATA.values(), seeds)
    earlier = results.earlier_results(out / "runs.csv")
    found = [
        results.read_result(runs, run) if runs.is_done(run) else earlier[run.recipe_digest]
        for run in every if runs.is_done(run) or run.recipe_digest in earlier]
    results.write_csv(out / "runs.csv", results.Result, found)
    results.write_csv(out / "costs.csv", results.Cost, costs)
    sections = {question: results.section(question, found, costs) for question in settings.QUESTIONS}
    (out / "results.md").write_text("# Results of the experiments\n\n" + "\n".join(sections.values()))
    for question in settings.QUESTIONS:
        plots.draw(question, found, costs, [out / f"{question}.svg", out / f"{question}.png"])
    print("\n".join(["", *(sections[question] for question in questions), f"tables and plots: {out}"]))


def main():
    options = parse()
    questions = [options.question] if options.question in settings.QUESTIONS else list(settings.QUESTIONS)
    data_sets = [settings.DATA[options.data]] if options.data else list(settings.DATA.values())
    runs = Runs(options.folder.resolve(), (options.programs or build()).resolve(), options.workers.resolve())
    out = options.out or runs.folder
    out.mkdir(parents=True, exist_ok=True)
    if options.question not in ("measure", "report"):
        train(runs, settings.runs(questions, data_sets, options.seeds), out / "runs.csv")
    costs = measured_costs(runs, out / "costs.csv", again=options.question == "measure")
    report(runs, questions, options.seeds, costs, out)


if __name__ == "__main__":
    try:
        main()
    except (Failure, OSError, subprocess.CalledProcessError) as error:
        print(f"cluster/experiments/run: {error}", file=sys.stderr)
        sys.exit(getattr(error, "code", 1))
    except KeyboardInterrupt:
        sys.exit(130)
