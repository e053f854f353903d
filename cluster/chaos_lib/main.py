"""The command: its arguments, and the phases of a run."""
import argparse
import json
import pathlib
import random
import signal
import subprocess
import sys
import time

from . import checks, faults, processes, report
from .cluster import Cluster
from .ground import CLIPS, STEPS_PER_EPOCH, Failure, Ground, free_port
from .harm import STEPLESS, Harm

HERE = pathlib.Path(__file__).resolve().parent.parent
SCENARIOS = HERE / "scenarios"


def arguments():
    parser = argparse.ArgumentParser(
        prog="cluster/chaos", description="Harms a real cluster, and compares its weights with an undisturbed run's.")
    parser.add_argument("--minutes", type=float, default=5, help="of harm, beside an undisturbed run (5)")
    parser.add_argument("--seed", type=int, default=1, help="the same seed gives the same schedule (1)")
    parser.add_argument("--workers", type=int, default=3, help="at least 2 (3)")
    parser.add_argument("--scenario", metavar="NAME", help="do what cluster/scenarios/NAME.json says instead")
    parser.add_argument("--only", metavar="KIND,…", default="", help=f"only these faults: {', '.join(faults.kinds())}")
    parser.add_argument("--list", action="store_true", help="list the scenarios")
    parser.add_argument("--shared-memory", action="store_true",
                        help="workers read one another's sums in memory; else all goes over the lines that are harmed")
    parser.add_argument("--no-reference", action="store_true",
                        help="do not train undisturbed: everything but I1 is checked")
    parser.add_argument("--plan", action="store_true", help="only print the schedule")
    parser.add_argument("--keep", action="store_true", help="keep the folder of the run; after a failure it always is")
    parser.add_argument("--bin", metavar="DIR", default=str(HERE.parent / ".build" / "release"),
                        help="where coordinator and worker are (.build/release)")
    given = parser.parse_args()
    if given.workers < 2:
        parser.error("--workers must be at least 2: a fault needs somebody who goes on")
    given.only = [kind for kind in given.only.split(",") if kind]
    if unknown := set(given.only) - set(faults.kinds()):
        parser.error(f"--only: no such fault: {', '.join(sorted(unknown))}; there are {', '.join(faults.kinds())}")
    return given


def scenario(name):
    path = SCENARIOS / f"{name}.json"
    if not path.exists():
        raise Failure(f"there is no scenario {name}; --list shows those that there are")
    read = json.loads(path.read_text())
    chance = random.Random(0)
    plan = []
    for fault in read["faults"]:
        for _ in range(fault.pop("repeat", 1)):
            plan.append({"after": round(chance.uniform(3, 5), 1), **fault})
    return {**read, "faults": plan}


def listing():
    for path in sorted(SCENARIOS.glob("*.json")):
        print(f"{path.stem:28} {json.loads(path.read_text())['about']}")


def phases(given, disk=True):
    """(launch, faults, minutes; None where the phase ends with its faults)"""
    if given.scenario:
        read = scenario(given.scenario)
        return [(read["launch"], read["faults"], None)]
    half = given.minutes / 2
    both = [(launch, faults.schedule(given.seed, launch, given.workers, half, disk, given.only), half)
            for launch in ("auto", "none")]
    return [phase for phase in both if phase[1]]


def main():
    given = arguments()
    if given.list:
        listing()
        return 0
    try:
        if given.plan:
            for launch, plan, _ in phases(given):
                for number, fault in enumerate(plan, 1):
                    print(launch, number, json.dumps(fault))
            return 0
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.default_int_handler)
        return Chaos(given).run()
    except Failure as failure:
        print(f"chaos: {failure}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("chaos: interrupted", file=sys.stderr)
        return 130


class Chaos:
    def __init__(self, given):
        self.given = given
        self.endpoints = []
        self.outcomes = []
        self.wrong = []
        self.count = 0
        self.workers = scenario(given.scenario).get("workers", given.workers) if given.scenario else given.workers

    def run(self):
        processes.adopt_orphans()
        ground = Ground(self.given.bin, self.given.seed, self.given.minutes, self.given.shared_memory)
        keep = self.given.keep
        try:
            self.say(f"seed {self.given.seed}, {self.workers} workers, folder {ground.folder}")
            if not ground.is_mounted:
                self.say("a small file system cannot be mounted here (not root?): disk-full is left out")
            reference = None
            # At the same time: there is time between the faults, and nobody waits for it afterwards.
            if not self.given.no_reference:
                reference = self.train(ground, ground.reference, ground.reference_recipe, "localhost threads=2")
            try:
                for phase in phases(self.given, ground.is_mounted):
                    self.harm(ground, *phase)
                self.finish(ground, reference)
            except Failure as failure:
                self.wrong.append(str(failure))
            keep = bool(self.wrong) or self.given.keep
            if self.wrong:
                print(report.last_words(ground))
            if self.outcomes:
                print(report.table(self.outcomes))
            for text in self.wrong:
                print(f"chaos: FAILED: {text}")
            if keep:
                print(f"chaos: everything is kept in {ground.folder}")
            if not self.wrong:
                compared = ", weights not compared" if self.given.no_reference else ""
                print(f"chaos: ok, {len(self.outcomes)} faults{compared}")
            return 1 if self.wrong else 0
        finally:
            processes.end_all(self.endpoints)
            ground.close(keep)

    def say(self, text):
        print(text, flush=True)

    def harm(self, ground, launch, plan, minutes):
        if not ground.is_mounted:
            plan = [fault for fault in plan if fault["kind"] != "disk-full"]
        cluster = Cluster(ground, launch, self.workers, self.given.seed)
        self.endpoints.append(cluster.endpoint)
        harm = Harm(cluster, lambda number, fault, outcome: self.say(report.line(number, fault, outcome)))
        begun = time.monotonic()
        self.say(f"workers started {'by the coordinator' if launch == 'auto' else 'here, a relay before each'}:")
        try:
            cluster.start_coordinator()
            harm.begin()
            harm.all(plan, begun + minutes * 60 if minutes else float("inf"))
            if self.given.scenario:
                expect = scenario(self.given.scenario).get("expect", {})
                self.wrong += checks.expectations(expect, harm.outcomes, cluster.journal)
            if cluster.proxies and (counts := cluster.proxies.counts()):
                self.say("relays: " + ", ".join(f"{count} {name}" for name, count in sorted(counts.items())))
            cluster.stop()
        finally:
            self.outcomes += harm.outcomes
            self.wrong += [f"{outcome.label}: {remark}" for outcome in harm.outcomes for remark in outcome.remarks
                           if remark.startswith("I7")]
            cluster.close()

    def finish(self, ground, reference):
        """Trains on in peace to a step of which the undisturbed run keeps a checkpoint; then everything is checked."""
        done = checks.Journal(ground.run / "run.db").moment().steps
        steps = (done // ground.every + 1) * ground.every
        process = self.train(ground, ground.run, ground.recipe, f"localhost slots={self.workers}", "--steps", steps)
        try:
            code = process.wait(60 + steps)
        except subprocess.TimeoutExpired:
            raise Failure("the run in peace after the harm did not end in time, see run.log") from None
        if code != 0:
            raise Failure(f"the run in peace after the harm ended with code {code}, see run.log")
        if reference:
            self.compare(ground, reference, steps)
        self.wrong += checks.invariants(ground.run, CLIPS, steps)
        for name, problem in checks.audits(ground):
            self.say(f"{name}: {'ok' if problem is None else problem}")
            if problem:
                self.wrong.append(f"{name}: {problem}")

    def compare(self, ground, reference, steps):
        """I1: one worker that was left in peace comes to the same bytes."""
        theirs = checks.checkpoint(ground.reference, steps)
        journal = checks.Journal(ground.reference / "run.db")
        done, moved = journal.moment().steps, time.monotonic()
        self.say(f"{steps} steps are trained; the undisturbed run has {done}")
        while not theirs.exists():
            if reference.poll() is not None:
                raise Failure(f"the undisturbed run ended with code {reference.returncode}, see reference.log")
            time.sleep(0.5)
            if (now := journal.moment().steps) != done:
                done, moved = now, time.monotonic()
            elif time.monotonic() - moved > STEPLESS:
                raise Failure(f"the undisturbed run made no step for {STEPLESS} s, see reference.log")
        if checks.newest(ground.run) != steps:
            self.wrong.append(f"the newest checkpoint is of step {checks.newest(ground.run)}, not {steps}")
            return
        ours, theirs = checks.digests(checks.checkpoint(ground.run, steps)), checks.digests(theirs)
        for name, digest in ours.items():
            same = digest == theirs[name]
            self.say(f"{digest}  {name} of step {steps}, {'the same' if same else 'undisturbed ' + theirs[name]}")
            if not same:
                self.wrong.append(f"I1: {name} of step {steps} is not the undisturbed run's")
        if difference := checks.same_digests(ground.run, ground.reference):
            self.wrong.append(difference)

    def train(self, ground, run, recipe, hosts, *more):
        endpoint = f"tcp://127.0.0.1:{free_port()}"
        self.endpoints.append(endpoint)
        command = [ground.coordinator, "train", "--workers", ground.hosts(run.name, hosts), "--recipe", recipe,
                   "--run-dir", run, "--listen", endpoint, *more]
        return processes.start(command, ground.folder / f"{run.name}.log")
