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
from .environment import CLIPS, STEPS_PER_EPOCH, Failure, Environment, free_port
from .injection import STEPLESS, Injection

HERE = pathlib.Path(__file__).resolve().parent.parent
SCENARIOS = HERE / "scenarios"


def arguments():
    parser = argparse.ArgumentParser(
        prog="cluster/chaos",
        description="Injects faults into a real cluster, and compares its weights with an undisturbed run's.")
    parser.add_argument("--minutes", type=float, default=5, help="how long to inject faults (5)")
    parser.add_argument("--seed", type=int, default=1, help="the same seed gives the same schedule (1)")
    parser.add_argument("--workers", type=int, default=3, help="at least 2 (3)")
    parser.add_argument("--scenario", metavar="NAME", help="inject the faults of cluster/scenarios/NAME.json instead")
    parser.add_argument("--only", metavar="KIND,…", default="",
                        help=f"inject only these faults: {', '.join(faults.kinds())}")
    parser.add_argument("--list", action="store_true", help="list the scenarios")
    parser.add_argument("--shared-memory", action="store_true",
                        help="let workers use shared memory; by default everything goes over the relays")
    parser.add_argument("--no-reference", action="store_true",
                        help="train no undisturbed run, and check everything but I1")
    parser.add_argument("--plan", action="store_true", help="only print the schedule")
    parser.add_argument("--keep", action="store_true", help="keep the folder of the run; a failed run always keeps it")
    parser.add_argument("--bin", metavar="DIR", default=str(HERE.parent / ".build" / "release"),
                        help="where coordinator and worker are (.build/release)")
    given = parser.parse_args()
    if given.workers < 2:
        parser.error("--workers must be at least 2, so that one survives a fault")
    given.only = [kind for kind in given.only.split(",") if kind]
    if unknown := set(given.only) - set(faults.kinds()):
        parser.error(f"--only: no such fault: {', '.join(sorted(unknown))}; there are {', '.join(faults.kinds())}")
    return given


def scenario(name):
    path = SCENARIOS / f"{name}.json"
    if not path.exists():
        raise Failure(f"there is no scenario {name}; --list shows all scenarios")
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
    """(launch, faults, minutes) of each phase. Minutes is None if the phase ends with its faults."""
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
        environment = Environment(self.given.bin, self.given.seed, self.given.minutes, self.given.shared_memory)
        keep = self.given.keep
        try:
            self.say(f"seed {self.given.seed}, {self.workers} workers, folder {environment.folder}")
            if not environment.is_mounted:
                self.say("no small file system can be mounted here (not root?), so disk-full is left out")
            reference = None
            # It trains at the same time, using the pauses between faults.
            if not self.given.no_reference:
                reference = self.train(
                    environment, environment.reference, environment.reference_recipe, "localhost threads=2")
            try:
                for phase in phases(self.given, environment.is_mounted):
                    self.inject(environment, *phase)
                self.finish(environment, reference)
            except Failure as failure:
                self.wrong.append(str(failure))
            keep = bool(self.wrong) or self.given.keep
            if self.wrong:
                print(report.last_words(environment))
            if self.outcomes:
                print(report.table(self.outcomes))
            for text in self.wrong:
                print(f"chaos: FAILED: {text}")
            if keep:
                print(f"chaos: all files are in {environment.folder}")
            if not self.wrong:
                compared = ", weights not compared" if self.given.no_reference else ""
                print(f"chaos: ok, {len(self.outcomes)} faults{compared}")
            return 1 if self.wrong else 0
        finally:
            processes.end_all(self.endpoints)
            environment.close(keep)

    def say(self, text):
        print(text, flush=True)

    def inject(self, environment, launch, plan, minutes):
        if not environment.is_mounted:
            plan = [fault for fault in plan if fault["kind"] != "disk-full"]
        cluster = Cluster(environment, launch, self.workers, self.given.seed)
        self.endpoints.append(cluster.endpoint)
        injection = Injection(cluster, lambda number, fault, outcome: self.say(report.line(number, fault, outcome)))
        begun = time.monotonic()
        self.say(f"workers started {'by the coordinator' if launch == 'auto' else 'here, each behind a relay'}:")
        try:
            cluster.start_coordinator()
            injection.begin()
            injection.all(plan, begun + minutes * 60 if minutes else float("inf"))
            if self.given.scenario:
                expect = scenario(self.given.scenario).get("expect", {})
                self.wrong += checks.expectations(expect, injection.outcomes, cluster.journal)
            if cluster.proxies and (counts := cluster.proxies.counts()):
                self.say("relays: " + ", ".join(f"{count} {name}" for name, count in sorted(counts.items())))
            cluster.stop()
        finally:
            self.outcomes += injection.outcomes
            self.wrong += [f"{outcome.label}: {remark}" for outcome in injection.outcomes for remark in outcome.remarks
                           if remark.startswith("I7")]
            cluster.close()

    def finish(self, environment, reference):
        """Trains on without faults to a step with a checkpoint of the undisturbed run, then checks everything."""
        done = checks.Journal(environment.run / "run.db").moment().steps
        steps = (done // environment.every + 1) * environment.every
        process = self.train(
            environment, environment.run, environment.recipe, f"localhost slots={self.workers}", "--steps", steps)
        try:
            code = process.wait(60 + steps)
        except subprocess.TimeoutExpired:
            raise Failure("the run without faults at the end did not finish in time, see run.log") from None
        if code != 0:
            raise Failure(f"the run without faults at the end ended with code {code}, see run.log")
        if reference:
            self.compare(environment, reference, steps)
        self.wrong += checks.invariants(environment.run, CLIPS, steps)
        for name, problem in checks.audits(environment):
            self.say(f"{name}: {'ok' if problem is None else problem}")
            if problem:
                self.wrong.append(f"{name}: {problem}")

    def compare(self, environment, reference, steps):
        """I1: a single undisturbed worker gets the same bytes."""
        theirs = checks.checkpoint(environment.reference, steps)
        journal = checks.Journal(environment.reference / "run.db")
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
        if checks.newest(environment.run) != steps:
            self.wrong.append(f"the newest checkpoint is of step {checks.newest(environment.run)}, not {steps}")
            return
        ours, theirs = checks.digests(checks.checkpoint(environment.run, steps)), checks.digests(theirs)
        for name, digest in ours.items():
            same = digest == theirs[name]
            self.say(f"{digest}  {name} of step {steps}, {'the same' if same else 'undisturbed ' + theirs[name]}")
            if not same:
                self.wrong.append(f"I1: {name} of step {steps} is not the undisturbed run's")
        if difference := checks.same_digests(environment.run, environment.reference):
            self.wrong.append(difference)

    def train(self, environment, run, recipe, hosts, *more):
        endpoint = f"tcp://127.0.0.1:{free_port()}"
        self.endpoints.append(endpoint)
        command = [environment.coordinator, "train", "--workers", environment.hosts(run.name, hosts), "--recipe", recipe,
                   "--run-dir", run, "--listen", endpoint, *more]
        return processes.start(command, environment.folder / f"{run.name}.log")
