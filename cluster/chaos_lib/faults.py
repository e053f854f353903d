"""The kinds of faults, the schedule of a seed, and how each fault is injected."""
import random
import signal
import time

from . import processes

EXTRA = 7


def label(fault):
    """The name under which a fault is counted."""
    kind = fault["kind"]
    if kind == "kill":
        count = fault.get("count")
        return {1: "SIGKILL of a worker", 2: "SIGKILL of two workers"}.get(count, "SIGKILL of all workers")
    if kind == "stop":
        return f"SIGSTOP of a worker for {fault['seconds']:g} s"
    if kind == "leave":
        return f"leave ({fault['signal']})"
    return {
        "stop-and-kill": "SIGSTOP of one, SIGKILL of another",
        "kill-coordinator": "SIGKILL of the coordinator",
        "kill-coordinator-and-worker": "SIGKILL of coordinator, then worker",
        "kill-everything": "SIGKILL of coordinator and all",
        "stop-coordinator": f"SIGSTOP of the coordinator for {fault.get('seconds', 0):g} s",
        "join": "join", "disk-full": "disk full", "cut": "connections cut", "delay": "bytes delayed",
        "stall": f"one direction stalled ({fault.get('direction')})", "refuse": "connections refused",
        "partition": "partition, one way", "partition-both": "partition, both ways", "flip": "bits flipped",
        "data-away": "data of one worker away", "data-away-all": "data of all workers away",
        "mute": f"{fault.get('connection')} connection silently dead", "descriptors": "file descriptors used up",
    }[kind]


# A worker that the hosts file does not name can join only where there are no keys: in the runs behind relays, which read
# in plain text whose connection is whose.
#
# What a deck of faults holds; the schedule deals from shuffled decks, so that every kind comes.
AUTO = {"kill": 6, "kill-two": 2, "kill-all": 1, "stop-0.5": 2, "stop-5": 2, "stop-20": 1, "stop-and-kill": 2,
        "kill-coordinator": 4, "kill-coordinator-and-worker": 2, "kill-everything": 1, "stop-coordinator": 1,
        "disk-full": 2, "data-away": 2, "data-away-all": 2, "descriptors": 2}
NONE = {"kill": 3, "cut": 3, "delay": 2, "stall": 3, "refuse": 2, "partition": 2, "partition-both": 1, "flip": 4,
        "stop-0.5": 1, "stop-5": 1, "kill-coordinator": 2, "kill-coordinator-and-worker": 1, "extra": 2,
        "disk-full": 1, "data-away": 1, "data-away-all": 1, "mute": 4, "descriptors": 1}
# A first deck for runs that are too short for a whole one.
SHORT = {"auto": ["kill", "kill-coordinator", "stop-0.5", "kill-two", "disk-full", "stop-and-kill"],
         "none": ["flip", "cut", "kill", "partition", "delay", "kill-coordinator"]}


def kinds():
    """The names by which faults can be chosen."""
    return sorted({*AUTO, *NONE})


def schedule(seed, launch, workers, minutes, disk, only=()):
    """Faults for longer than a phase of so many minutes can take: a function of the arguments alone.

    `only` names the kinds to deal; without any, all are dealt. A phase that knows none of them has no faults.
    """
    chance = random.Random(f"{seed} {launch} {workers}")
    faults = []
    joined = False
    short = minutes <= 1 and not only
    if only and not set(only) & set(AUTO if launch == "auto" else NONE):
        return faults
    while len(faults) < minutes * 60 / 3 + 10:
        if short:
            deck = list(SHORT[launch])
        else:
            deck = [kind for kind, count in (AUTO if launch == "auto" else NONE).items() for _ in range(count)]
        chance.shuffle(deck)
        for kind in deck:
            if (kind == "disk-full" and not disk) or (only and kind not in only):
                continue
            fault = _dealt(kind, chance, workers, joined)
            joined = fault["kind"] == "join" or (joined and fault["kind"] != "leave")
            fault["after"] = round(chance.triangular(3, 8, 3), 1)
            faults.append(fault)
    return faults


def _dealt(kind, chance, workers, joined):
    ranks = chance.sample(range(workers), workers)
    rank, other = ranks[0], ranks[-1]
    moments = round(chance.uniform(2, 5), 1)
    match kind:
        case "kill": return {"kind": "kill", "ranks": [rank], "count": 1}
        case "kill-two": return {"kind": "kill", "ranks": sorted(ranks[:2]), "count": 2}
        case "kill-all": return {"kind": "kill", "ranks": [*sorted(ranks), EXTRA]}
        case "stop-0.5" | "stop-5" | "stop-20":
            return {"kind": "stop", "rank": rank, "seconds": float(kind.removeprefix("stop-"))}
        case "stop-and-kill": return {"kind": kind, "rank": rank, "other": other, "seconds": moments}
        case "kill-coordinator" | "kill-everything": return {"kind": kind, "away": moments}
        case "kill-coordinator-and-worker": return {"kind": kind, "rank": rank, "away": moments}
        case "stop-coordinator": return {"kind": kind, "seconds": 5.0}
        case "extra":
            if not joined:
                return {"kind": "join", "rank": EXTRA}
            return {"kind": "leave", "rank": EXTRA, "signal": chance.choice(["SIGTERM", "SIGKILL"])}
        case "disk-full": return {"kind": kind, "seconds": round(chance.uniform(4, 8), 1)}
        case "cut": return {"kind": kind, "rank": rank}
        case "delay": return {"kind": kind, "rank": rank, "low": 0.05, "high": 0.5, "seconds": round(moments * 2, 1)}
        case "stall":
            return {"kind": kind, "rank": rank, "direction": chance.choice(["in", "out"]), "seconds": round(moments * 1.5, 1)}
        case "refuse": return {"kind": kind, "rank": rank, "seconds": round(moments * 2, 1)}
        case "partition" | "partition-both":
            return {"kind": kind, "rank": rank, "other": other, "seconds": round(moments * 2, 1)}
        case "flip": return {"kind": kind, "rank": rank, "chance": 0.1, "seconds": moments}
        case "data-away" | "descriptors": return {"kind": kind, "rank": rank, "seconds": round(moments * 1.5, 1)}
        case "data-away-all": return {"kind": kind, "seconds": round(moments * 1.5, 1)}
        # Longer than evict_seconds: only then is a silent connection given up.
        case "mute":
            connection = chance.choice(["control", "control", "heartbeat"])
            return {"kind": kind, "rank": rank, "connection": connection, "seconds": round(4 + moments, 1)}
    raise ValueError(kind)


def perform(fault, cluster, wait):
    """Injects a fault and ends it. `wait(seconds)` watches the run meanwhile."""
    kind = fault["kind"]
    match kind:
        case "kill":
            cluster.kill(fault["ranks"])
        case "stop" | "stop-and-kill":
            pid = cluster.pid(fault["rank"])
            if pid is None:
                return
            processes.kill(pid, signal.SIGSTOP)
            try:
                if kind == "stop-and-kill":
                    wait(0.3)
                    cluster.kill([fault["other"]])
                wait(fault["seconds"])
            finally:
                processes.kill(pid, signal.SIGCONT)
        case "kill-coordinator":
            cluster.kill_coordinator()
            wait(fault["away"])
            cluster.start_coordinator()
        case "kill-coordinator-and-worker":
            cluster.kill_coordinator()
            wait(fault["away"] / 2)
            cluster.kill([fault["rank"]])
            wait(fault["away"] / 2)
            cluster.start_coordinator()
        case "kill-everything":
            cluster.kill_coordinator()
            cluster.kill(cluster.ranks)
            wait(fault["away"])
            cluster.start_coordinator()
        case "stop-coordinator":
            cluster.coordinator.send_signal(signal.SIGSTOP)
            try:
                wait(fault["seconds"])
            finally:
                cluster.coordinator.send_signal(signal.SIGCONT)
        case "join":
            cluster.join(fault["rank"])
        case "leave":
            cluster.leave(fault["rank"], signal.Signals[fault["signal"]])
        case "disk-full":
            end = time.monotonic() + fault["seconds"]
            try:
                while time.monotonic() < end:
                    cluster.environment.fill()
                    wait(0.2)
            finally:
                cluster.environment.free()
        case "data-away" | "data-away-all":
            ranks = cluster.ranks if kind == "data-away-all" else [fault["rank"]]
            cluster.environment.take_data(ranks)
            try:
                wait(fault["seconds"])
            finally:
                cluster.environment.return_data(ranks)
        case "descriptors":
            pid = cluster.pid(fault["rank"])
            limits = processes.use_up_descriptors(pid) if pid is not None else None
            try:
                wait(fault["seconds"])
            finally:
                if limits:
                    processes.limit_descriptors(pid, limits)
        case "mute":
            relay = cluster.proxies.to_coordinator[fault["rank"]]
            cluster.proxies.call(relay.mute(fault["connection"]))
            try:
                wait(fault["seconds"])
            finally:
                cluster.proxies.call(relay.heal())
        case _:
            _through_proxies(fault, cluster.proxies, wait)


def _through_proxies(fault, proxies, wait):
    proxy = proxies.by_rank[fault["rank"]]
    match fault["kind"]:
        case "cut":
            proxies.call(proxy.cut())
            return
        case "delay": proxies.call(proxy.delay(fault["low"], fault["high"]))
        case "stall": proxies.call(proxy.stall(fault["direction"]))
        case "refuse": proxies.call(proxy.refuse())
        case "flip": proxies.call(proxy.flip(fault["chance"]))
        case "partition": proxies.call(proxy.bar(fault["other"]))
        case "partition-both":
            proxies.call(proxy.bar(fault["other"]))
            proxies.call(proxies.by_rank[fault["other"]].bar(fault["rank"]))
    try:
        wait(fault["seconds"])
    finally:
        for each in proxies.by_rank.values():
            proxies.call(each.heal())
