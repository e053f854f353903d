#!/usr/bin/env python3
"""audit.py DIR: checks a run directory against itself: the journal's steps, ledger and generations, the checkpoints.

It uses run.db and the files alone, and nothing of Tamring, so that nobody has to trust its programs;
docs/journal.md says what is checked. It changes nothing, and may be run while a coordinator works there.
Prints `ok: …` and exits with 0, or one line for each problem and exits with 1; with 65 where there is no run.
"""
import collections, errno, fcntl, hashlib, math, os, re, sqlite3, struct, sys, urllib.parse

sys.dont_write_bytecode = True  # an audit leaves nothing behind, not even beside itself
from state_digest import BadState, Hash, state_digest

RESTORE = "restore run.db from a copy, or start a new run directory"
LAYOUT = 10
CHAINED = """step epoch generation attempt digest weights_digest loss top1 top5 clips learning_rate gradient_bits
  clips_digest state_digest pairs_digest""".split()
KINDS = {"INTEGER": "integer", "INT": "integer", "REAL": "real", "TEXT": "text"}
# What is read, by table.
TABLES = {
    "runs": "index_digest clips steps_per_epoch epochs", "members": "rank incarnation joined_at left_at",
    "generations": "number start_step", "steps": " ".join(["id", *CHAINED, "chain", "rolled_back"]),
    "verdicts": "step clip epoch", "consumed": "epoch clip step lane", "clips": "clip id path bytes hash",
    "checkpoints": "id step manifest_sha256 bytes removed_at reason", "events": "text",
    "revisions": "seq step key old new", "evaluations": "id step clips top1 loss_sum mean_precision state_digest",
}
OPTIONAL = {"ended_at", "left_at", "loss_sum", "mean_precision", "pairs_digest", "reason", "removed_at"}
VALIDATION = "step clips top1 loss_sum mean_precision".split()
COUNTS = set("attempt clip clips epoch generation gradient_bits lane lanes number pid top1 top5".split())
FILES = ["model.safetensors", "trainer.safetensors"]


class NoRun(Exception):
    pass


def connect(path):
    """Opens the database read-only, also on a disk that cannot be written, where the journal must be at rest."""
    uri = "file:" + urllib.parse.quote(os.path.abspath(path)) + "?mode=ro"
    database = sqlite3.connect(uri, uri=True, timeout=5, isolation_level=None)
    try:
        database.execute("SELECT count(*) FROM sqlite_master")
    except sqlite3.OperationalError:
        if os.path.exists(path + "-wal") and os.path.getsize(path + "-wal"):
            raise
        database = sqlite3.connect(uri + "&immutable=1", uri=True, isolation_level=None)
    database.row_factory = sqlite3.Row
    return database


def regular(path, flags):
    """Opens a file, and no pipe, for which it would have to wait."""
    if not os.path.isfile(path):
        raise OSError(errno.ENOENT, "no regular file", path)
    return os.open(path, flags)


def named(numbers, noun):
    """'clip 3' or 'clips 3, 5, 8', ten at most."""
    numbers = sorted(numbers)
    text = ", ".join(str(number) for number in numbers[:10]) + (", …" if len(numbers) > 10 else "")
    return f"{noun}{'' if len(numbers) == 1 else 's'} {text}"


def span(first, last):
    return f"step {first}" if first == last else f"steps {first} to {last}"


def bounds(table, column):
    """The whole numbers that a column may hold."""
    if table == "runs" and column in ("clips", "steps_per_epoch", "epochs"):
        return 1, (1 << 31) - 1
    if (table, column) == ("steps", "attempt"):
        return 0, 255
    if (table, column) == ("evaluations", "loss_sum"):
        return 0, (1 << 63) - 1
    if (table, column) == ("evaluations", "mean_precision"):
        return 0, 1 << 32
    if column in ("rolled_back", "verified"):
        return 0, 1
    if column in ("rank", "reporter", "threads"):
        return 0, 65535
    return 0, (1 << 31) - 1 if column in COUNTS else 1 << 53


def pairs_digest(step, pairs):
    """Two sums of 64 bits over one hash of each (step, lane, clip); docs/journal.md has the formula."""
    mask = (1 << 64) - 1

    def mix(z):
        z = (z + 0x9E3779B97F4A7C15) & mask
        z = ((z ^ z >> 30) * 0xBF58476D1CE4E5B9) & mask
        z = ((z ^ z >> 27) * 0x94D049BB133111EB) & mask
        return z ^ z >> 31

    sums = [0, 0]
    for i, key in enumerate([0x243F6A8885A308D3, 0x13198A2E03707344]):
        start = mix(key ^ step)
        for lane, clip in pairs:
            sums[i] = (sums[i] + mix(mix(start ^ lane) ^ clip)) & mask
    return f"{sums[0]:016x}{sums[1]:016x}"


class Audit:
    def __init__(self, directory):
        self.directory = directory.rstrip("/") or "/"
        self.problems = []

    def journal(self, text, remedy=RESTORE):
        text = " ".join(line for line in text.splitlines() if line)  # SQLite's findings may have several
        self.problems.append(f"{self.directory}/run.db: {text}; {remedy}")

    def file(self, name, text, remedy):
        self.problems.append(f"{self.directory}/{name}: {text}; {remedy}")

    def run(self):
        path = f"{self.directory}/run.db"
        if not os.path.exists(path):
            raise NoRun(f"{self.directory}: holds no run: there is no run.db; give a run directory")
        try:
            self.database = connect(path)
            self.database.execute("BEGIN")  # one state of the journal, also while it is written
            version = self.database.execute("PRAGMA user_version").fetchone()[0]
            if version not in (0, LAYOUT):
                remedy = "use a newer Tamring" if version > LAYOUT else "resume the run once to update it"
                raise NoRun(f"{path}: has layout {version}, and this program knows {LAYOUT}; {remedy}")
            damage = [row[0] for row in self.database.execute("PRAGMA integrity_check(10)")]
            self.on_disk = self.folders()
            if damage != ["ok"]:
                for line in damage:
                    self.journal(f"is damaged: {line}")
                return
            tables = [row[0] for row in self.database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            if not tables or ("runs" in tables and not self.database.execute("SELECT 1 FROM runs").fetchone()):
                raise NoRun(f"{self.directory}: holds no run: its journal is empty; give a run directory")
            if not self.is_sound(tables):
                return
            run = self.database.execute("SELECT clips, steps_per_epoch, epochs FROM runs").fetchone()
            self.clips, self.per_epoch, self.epochs = run
            if not all(0 < number < 1 << 31 for number in run):
                return self.journal("a run of {} clips, {} steps an epoch and {} epochs cannot be".format(*run))
            self.recipe = self.read_recipe()
            self.plan = self.read_plan()
            self.revisions()
            self.steps()
            self.generations()
            self.members()
            self.index()
            self.ledger()
            self.rates()
        except sqlite3.DatabaseError as error:
            return self.journal(f"is damaged: {error}")
        self.checkpoints()

    def is_sound(self, tables):
        """SQLite keeps any value in any column; everything below relies on what the columns can hold."""
        before = len(self.problems)
        for table, names in TABLES.items():
            if table not in tables:
                self.journal(f"the table {table} is missing")
                continue
            columns = self.database.execute(f"SELECT name, type FROM pragma_table_info('{table}')").fetchall()
            for name in names.split():
                if name not in [column["name"] for column in columns]:
                    self.journal(f"the column {table}.{name} is missing")
            for name, declared in columns:
                kind, kept = KINDS.get(declared, "null"), f'typeof("{name}")'
                expected, wrong = kind, f"{kept} NOT IN ('{kind}', '{'null' if name in OPTIONAL else kind}')"
                if kind == "integer":
                    first, last = bounds(table, name)
                    expected = f"whole numbers from {first} to {last}"
                    wrong = f"({kept} <> 'integer' OR \"{name}\" NOT BETWEEN {first} AND {last})"
                    if name in OPTIONAL:
                        wrong += f" AND {kept} <> 'null'"
                elif kind == "real":
                    expected, wrong = "finite numbers", f"{kept} <> 'real' OR abs(\"{name}\") > 1e308"
                if count := self.database.execute(f'SELECT count(*) FROM "{table}" WHERE {wrong}').fetchone()[0]:
                    self.journal(f"{count} values of {table}.{name} are not {expected}")
        return len(self.problems) == before

    def revisions(self):
        """Each change of the epochs follows the one before. They say which step is the run's last."""
        self.revised, before, first = [], self.epochs, 0
        for row in self.database.execute(
                "SELECT seq, ifnull(step, -1) AS step, ifnull(old, '') AS old, ifnull(new, '') AS new FROM revisions "
                "WHERE key = 'schedule.epochs' ORDER BY seq"):
            step, old, new = row["step"], row["old"], row["new"]
            epochs = int(new) if re.fullmatch(r"\d{1,7}", new) else 0
            if not (1 <= epochs <= 1_000_000 and old == str(before) and first <= step
                    and step <= self.plan.first_step(before) and step <= self.plan.first_step(epochs)):
                self.journal(f"revision {row['seq']} ({old} -> {new} epochs from step {step}) does not follow from "
                             "the run")
                continue
            self.revised.append((step, epochs))
            before, first = epochs, step
        self.total = self.plan.first_step(before)

    def steps(self):
        """The rows in the order in which they were written: no gap, one live row a step, the chain."""
        chain, stack = "", []
        for row in self.database.execute("SELECT * FROM steps ORDER BY id"):
            columns = [struct.pack(">d", row[name]).hex() if isinstance(row[name], float) else str(row[name])
                       for name in CHAINED if row[name] or name not in ("state_digest", "pairs_digest")]
            if row["chain"] != hashlib.sha256(f"{chain}\n{'|'.join(columns)}".encode()).hexdigest():
                self.journal(f"the row of step {row['step']} (id {row['id']}) is not the one that was written")
            chain = row["chain"]
            while stack and stack[-1]["step"] >= row["step"]:
                if not stack.pop()["rolled_back"]:
                    self.journal(f"step {row['step']} was written again (id {row['id']}), but a row before it is "
                                 "not marked as rolled back")
            expected = stack[-1]["step"] + 1 if stack else 0
            if row["step"] > expected:
                self.journal(f"{span(expected, row['step'] - 1)} missing before step {row['step']}")
            elif row["step"] < expected:
                self.journal(f"there can be no step {row['step']}")
            stack.append(row)
        self.live = [row for row in stack if not row["rolled_back"]]
        last = self.live[-1]["step"] if self.live else -1
        for row in stack:
            if row["rolled_back"] and row["step"] < last:
                self.journal(f"step {row['step']} is marked as rolled back, but was not computed again")
        if astray := [row for row in self.live if row["epoch"] != self.plan.epoch(row["step"])]:
            self.journal(f"{span(astray[0]['step'], astray[-1]['step'])} cannot be in epoch {astray[0]['epoch']}")
        if last >= self.total:
            self.journal(f"step {last} is beyond the run's last")
        for row, after in zip(self.live, self.live[1:]):
            if row["state_digest"] not in ("", after["weights_digest"]) and row["step"] + 1 == after["step"]:
                self.journal(f"step {after['step']} did not start from the state that step {row['step']} led to",
                             "go back to a checkpoint before it and check the hosts' memory")

    def generations(self):
        """A live step belongs to the newest of the generations that begin at it or before it."""
        starts = self.database.execute("SELECT number, start_step FROM generations ORDER BY number DESC").fetchall()
        self.generation_count = len(starts)
        wrong = collections.defaultdict(list)
        for row in self.live:
            fitting = next((number for number, start in starts if start <= row["step"]), None)
            if row["generation"] != fitting:
                wrong[row["generation"], fitting].append(row["step"])
        for (number, fitting), steps in sorted(wrong.items(), key=lambda item: item[1]):
            which = f"generation {fitting}" if fitting is not None else "none"
            self.journal(f"{span(steps[0], steps[-1])}: written for generation {number}, but the generations' first "
                         f"steps say {which}")
        for number, start in reversed(starts):
            if number < 1 or start < 0 or start > self.total:
                self.journal(f"generation {number} cannot begin at step {start}")

    def members(self):
        """One worker a rank at a time. One that came back keeps its row, so that others' stays may lie inside it."""
        stays = self.database.execute("SELECT * FROM members ORDER BY rank, joined_at, incarnation").fetchall()
        for number, stay in enumerate(stays):
            if stay["left_at"] and stay["left_at"] < stay["joined_at"]:
                self.journal(f"worker {stay['rank']} ({stay['incarnation']}) left before it joined", "check the clock")
            for other in stays[number + 1:]:
                if other["rank"] != stay["rank"]:
                    break
                back = self.database.execute("SELECT 1 FROM events WHERE text LIKE ? LIMIT 1",
                                             [f"worker {stay['rank']} is back%"]).fetchone()
                both = not stay["left_at"] and not other["left_at"]
                if both or (not back and (not stay["left_at"] or stay["left_at"] > other["joined_at"])):
                    self.journal(f"rank {stay['rank']} was two workers at once: {stay['incarnation']} and "
                                 f"{other['incarnation']}", "look for a worker that was started twice")

    def index(self):
        """The clips of the journal are those of index/train.tsv, in order, and the index is the one of the beginning."""
        clips = self.database.execute("SELECT * FROM clips ORDER BY clip").fetchall()
        if [row["clip"] for row in clips] != list(range(self.clips)):
            self.journal(f"its {len(clips)} clips are not the {self.clips} of the run, numbered from 0")
        for row, after in zip(clips, clips[1:]):
            if row["id"].encode() >= after["id"].encode():
                self.journal(f"clip {after['clip']} has not an id after that of the clip before")
        escapes = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})
        remedy = "restore index/ from a copy, or start a new run"
        try:
            with open(f"{self.directory}/index/train.tsv", "rb") as file:
                lines = [line.split(b"\t") for line in file.read().split(b"\n") if line.startswith(b"clip\t")]
        except OSError:
            return self.file("index/train.tsv", "cannot be read", remedy)
        listed = [fields[1:3] + fields[4:6] for fields in lines]
        known = [[str(row[name]).translate(escapes).encode() for name in ("id", "path", "bytes", "hash")]
                 for row in clips]
        if listed != known:
            first = next((i for i, (a, b) in enumerate(zip(listed, known)) if a != b), min(len(listed), len(known)))
            self.file("index/train.tsv", f"clip {first} is not the journal's", remedy)
        digest = Hash()
        try:
            with open(f"{self.directory}/index/train.clips", "rb") as file:
                while piece := file.read(1 << 20):
                    digest.update(piece)
        except OSError:
            return self.file("index/train.clips", "cannot be read", remedy)
        try:
            if digest.hexdigest() != self.database.execute("SELECT index_digest FROM runs").fetchone()[0]:
                self.file("index/train.clips", "is not the index that the run was begun with", remedy)
        except BadState:
            pass  # so few clips need the module xxhash

    def ledger(self):
        """Each clip once an epoch, apart from those that a verdict leaves out of a step."""
        plan, clips = self.plan, self.clips
        # A balanced run draws by class: then a number is occurrence * clips + clip.
        balanced = (self.recipe or {}).get("data.balanced") == "true"
        left_out = collections.defaultdict(set)
        for row in self.database.execute("SELECT * FROM verdicts ORDER BY step, clip"):
            left_out[row["step"]].add(row["clip"])
            if not (0 <= row["step"] < self.total and row["epoch"] == plan.epoch(row["step"])
                    and (balanced or 0 <= row["clip"] < clips)):
                self.journal(f"the verdict about clip {row['clip']} in step {row['step']} of epoch {row['epoch']} is "
                             "about no step or clip of the run")
        sizes = [row["clips"] + len(left_out.get(row["step"], ()))
                 for row in self.live if not plan.ends_epoch(row["step"])]
        full = collections.Counter(sorted(sizes)).most_common(1)[0][0] if sizes else clips
        self.whole_epochs = 0
        epochs = collections.defaultdict(list)
        for row in self.live:
            epochs[row["epoch"]].append(row)
        past = [row[0] for row in self.database.execute("SELECT DISTINCT epoch FROM consumed")]
        for epoch in sorted(set(epochs) | set(past)):
            steps = collections.defaultdict(list)
            times = collections.Counter()
            for step, lane, clip in self.database.execute(
                    "SELECT step, lane, clip FROM consumed WHERE epoch = ? ORDER BY step, lane, clip", [epoch]):
                steps[step].append((lane, clip))
                times[clip] += 1
            out_of_epoch = {clip for step, out in left_out.items() if plan.epoch(step) == epoch for clip in out}
            for row in epochs[epoch]:
                where = f"epoch {epoch}, step {row['step']}"
                consumed, out = steps.pop(row["step"], []), left_out.get(row["step"], ())
                text = ",".join(f"{lane}:{clip}" for lane, clip in consumed)
                if hashlib.sha256(text.encode()).hexdigest() != row["clips_digest"] or len(consumed) != row["clips"]:
                    self.journal(f"{where}: the clips consumed are not those that were recorded")
                if row["pairs_digest"] not in (None, pairs_digest(row["step"], consumed)):
                    self.journal(f"{where}: the clips consumed are not those that the ranks trained",
                                 "go back to a checkpoint before it and check the hosts' memory")
                expected = plan.clips_in(row["step"])
                if plan.is_uniform:  # its batch is not in the journal
                    is_last = plan.ends_epoch(row["step"])
                    expected = clips - full * (self.per_epoch - 1) if is_last else full
                if row["clips"] == 0:
                    self.journal(f"epoch {epoch}, step {row['step']}: was trained without any clip")
                if row["clips"] + len(out) != expected:
                    self.journal(f"{where}: {row['clips']} clips and {len(out)} left out, expected {expected}")
            for step in sorted(steps):
                self.journal(f"epoch {epoch}: clips of step {step} were consumed, which is not committed")
            if twice := [clip for clip in times if times[clip] > 1]:
                self.journal(f"epoch {epoch}: {named(twice, 'clip')} consumed more than once")
            if strange := [clip for clip in times if not (balanced or 0 <= clip < clips)]:
                self.journal(f"epoch {epoch}: {named(strange, 'clip')} consumed, but not of the index")
            if both := [clip for clip in times if clip in out_of_epoch]:
                self.journal(f"epoch {epoch}: {named(both, 'clip')} consumed, but left out by a verdict")
            if len(epochs[epoch]) == plan.steps(epoch):
                self.whole_epochs += 1
                draws = set(times) | out_of_epoch
                if balanced and len(draws) != clips:
                    self.journal(f"epoch {epoch} is over with {len(draws)} draws, expected {clips}")
                if early := {draw for draw in draws if balanced and draw >= clips and draw - clips not in draws}:
                    self.journal(f"epoch {epoch}: {named(early, 'draw')} without the occurrence before")
                if missing := set() if balanced else set(range(clips)) - draws:
                    self.journal(f"epoch {epoch} is over without {named(missing, 'clip')}")

    def read_recipe(self):
        """The keys of recipe.yaml as `section.key`; None where it cannot be read, which the check of the rates says."""
        try:
            with open(f"{self.directory}/recipe.yaml", encoding="utf-8") as file:
                lines = file.readlines()
        except (OSError, ValueError):
            return None
        keys, name = {}, ""
        for line in lines:
            key, _, value = line.rstrip("\n").partition(":")
            name = name if key.startswith(" ") else key
            keys[name if key == name else f"{name}.{key.strip()}"] = value.strip()
        return keys

    def read_plan(self):
        """How the run's steps are cut into epochs: all alike, or by the recipe's multigrid cycles."""
        if (self.recipe or {}).get("schedule.multigrid", "none") == "none":
            return Plan.uniform(self.per_epoch)
        try:
            plan = Plan(self.clips, int(self.recipe["batch.lanes"]), multigrid_stages(self.recipe, self.epochs))
        except (ValueError, KeyError, ZeroDivisionError):
            self.recipe = None
            return Plan.uniform(self.per_epoch)
        if plan.starts[-1][2] != self.per_epoch:
            self.journal(f"has {self.per_epoch} steps for an epoch of full clips, but recipe.yaml gives "
                         f"{plan.starts[-1][2]}")
        return plan

    def validations(self):
        """Of each state that a live step led to, the first result: step, clips, top-1, loss, mAP."""
        states = {row["step"] + 1: row["state_digest"] for row in self.live if row["state_digest"]}
        found = {}
        for row in self.database.execute("SELECT * FROM evaluations ORDER BY step, id"):
            if states.get(row["step"]) == row["state_digest"]:
                found.setdefault(row["step"], tuple(row[key] for key in VALIDATION))
        return list(found.values())

    def rates(self):
        """Each step went by the learning rate that recipe and revisions give.

        A plateau goes by the sums of the losses, in units of 2^-32. A row has the mean over the step's clips, from
        which the sum follows exactly below 2^51; where it is more, the rates after that epoch are not looked at. Or it
        goes by the results of the validations.
        """
        try:
            schedule = Schedule(self.recipe, self.epochs, self.plan, self.revised, self.validations())
        except (TypeError, ValueError, KeyError):
            return self.file("recipe.yaml", "cannot be read", "restore it from a copy")
        wrong = []
        for row in self.live:
            rate = schedule.rate(row["step"])
            found = math.nan if row["learning_rate"] is None else row["learning_rate"]
            if rate is None:
                break
            # Written down as a 32-bit float; another library's cosine may differ in the last place.
            if not abs(found - rate) <= 1e-6 * max(abs(rate), abs(found)):
                wrong.append((row["step"], found, rate))
            schedule.take(row)
        if wrong:
            (step, found, rate), more = wrong[0], len(wrong) - 1
            self.journal(f"step {step} has the learning rate {found:.6g}, but recipe.yaml and the revisions give "
                         f"{rate:.6g}" + (f", and {more} more steps differ" if more else ""))

    def folders(self):
        try:
            return {name for name in os.listdir(f"{self.directory}/checkpoints") if re.fullmatch(r"step-\d{8,}", name)}
        except FileNotFoundError:
            return set()

    def at_work(self):
        """Whether a coordinator holds the run's lock."""
        try:
            with open(f"{self.directory}/run.lock", "rb") as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            pass
        return False

    def checkpoints(self):
        """The journal's checkpoints and those on disk are the same, and every byte is what the manifests say.

        A working coordinator stores a checkpoint before it says so in the journal, and prunes old ones first too.
        """
        rows = self.database.execute("SELECT * FROM checkpoints ORDER BY id").fetchall()
        self.database.execute("COMMIT")
        self.checkpoint_count = 0
        known = {f"step-{row['step']:08}": row for row in rows}
        live = {name: row for name, row in known.items() if row["removed_at"] is None}
        # The best one stays, however old it is.
        link = f"{self.directory}/checkpoints/best"
        best = os.readlink(link) if os.path.islink(link) else None
        present = [name for name in live if name in self.on_disk and name != best]
        states = {row["step"] + 1: row["state_digest"] for row in self.live if row["state_digest"]}
        for name, row in sorted(live.items(), key=lambda item: item[1]["step"]):
            self.checkpoint_count += 1
            if row["step"] > len(self.live):
                self.journal(f"the checkpoint of step {row['step']} is ahead of its {len(self.live)} steps")
            whole = name in self.on_disk and self.bytes_of(name, row)
            if whole and row["step"] in states:
                self.state_of(name, states[row["step"]])
            if not whole and not os.path.isdir(f"{self.directory}/checkpoints/{name}"):
                if not (self.at_work() and all(live[other]["step"] >= row["step"] for other in present)):
                    self.file(f"checkpoints/{name}", "is missing, but the journal has it",
                              "restore it from a copy, or resume the run, which then forgets it")
        # A rollback leaves a damaged checkpoint where it is.
        kept = {name for name, row in known.items() if (row["reason"] or "").startswith("rolled back")}
        unknown = sorted(self.on_disk - set(live) - kept, key=lambda name: (len(name), name))
        newest = max((row["step"] for row in live.values()), default=-1)
        if unknown and int(unknown[-1][5:]) > newest and self.at_work():
            unknown.pop()
        for name in unknown:
            self.file(f"checkpoints/{name}", "is not in the journal",
                      "resume the run, which takes it in if it is whole, or remove it")

    def bytes_of(self, name, row):
        remedy = "remove it and resume the run: an older one is taken, to the same bits"
        before, size = len(self.problems), 0
        try:
            with open(f"{self.directory}/checkpoints/{name}/MANIFEST.sha256", "rb", opener=regular) as file:
                manifest = file.read()
            if hashlib.sha256(manifest).hexdigest() != row["manifest_sha256"]:
                self.file(f"checkpoints/{name}", "its MANIFEST.sha256 is not the journal's", remedy)
            lines = manifest.decode(errors="replace").split("\n")
            if [line[64:] for line in lines] != [f"  {file}" for file in FILES] + [""]:
                self.file(f"checkpoints/{name}", "its MANIFEST.sha256 does not list its two files", remedy)
                return False
            for line, part in zip(lines, FILES):
                hashed = hashlib.sha256()
                with open(f"{self.directory}/checkpoints/{name}/{part}", "rb", opener=regular) as file:
                    while piece := file.read(1 << 20):
                        hashed.update(piece)
                        size += len(piece)
                if hashed.hexdigest() != line[:64]:
                    self.file(f"checkpoints/{name}/{part}", "its SHA-256 is not the manifest's", remedy)
        except OSError as error:
            if os.path.isdir(f"{self.directory}/checkpoints/{name}"):
                part = os.path.basename(error.filename or "")
                self.file(f"checkpoints/{name}/{part}", "cannot be read", remedy)
            return False
        if size != row["bytes"]:
            self.file(f"checkpoints/{name}", f"has {size} bytes, expected {row['bytes']}", remedy)
        return len(self.problems) == before


    def state_of(self, name, expected):
        """The state that a checkpoint holds is the one that the journal's step before it led to."""
        remedy = "remove it and resume the run: an older one is taken, to the same bits"
        try:
            found = state_digest(*(f"{self.directory}/checkpoints/{name}/{part}" for part in FILES))
        except BadState:
            return self.file(f"checkpoints/{name}", "is no state of a training", remedy)
        except OSError:
            return  # pruned by a working coordinator meanwhile: it was whole a moment ago
        if found != expected:
            self.file(f"checkpoints/{name}", "its state is not the one that the journal has", remedy)


class Plan:
    """How the epochs of a run are cut into steps.

    A stage is (epochs, the clips of a lane in each step of a cycle, the factor of the learning rate); the last one has
    no end.
    """

    def __init__(self, clips, lanes, stages):
        self.clips, self.lanes, self.stages, self.starts = clips, lanes, stages, []
        epoch = step = 0
        for epochs, cycle, _ in stages:
            rounds, left = divmod(clips, lanes * sum(cycle))
            steps = rounds * len(cycle)
            for batch in cycle:
                steps, left = (steps + 1, left - lanes * batch) if left > 0 else (steps, left)
            self.starts.append((epoch, step, max(1, steps)))
            epoch, step = epoch + epochs, step + epochs * steps
        self.is_uniform = len(stages) == 1 and len(stages[0][1]) == 1

    @classmethod
    def uniform(cls, per_epoch):
        return cls(per_epoch, 1, [(0, [1], 1)])

    def stage(self, number, column):
        """The last stage that begins at or before an epoch (column 0) or a step (column 1)."""
        return max((i for i, start in enumerate(self.starts) if start[column] <= number), default=0)

    def epoch(self, step):
        first, begin, steps = self.starts[self.stage(step, 1)]
        return first + (step - begin) // steps

    def step_in_epoch(self, step):
        _, begin, steps = self.starts[self.stage(step, 1)]
        return (step - begin) % steps

    def first_step(self, epoch):
        first, begin, steps = self.starts[self.stage(epoch, 0)]
        return begin + (epoch - first) * steps

    def steps(self, epoch):
        return self.starts[self.stage(epoch, 0)][2]

    def steps_in(self, epochs):
        """Of so many epochs, a part of one perhaps."""
        return self.first_step(int(epochs)) + (epochs - int(epochs)) * self.steps(int(epochs))

    def ends_epoch(self, step):
        return self.step_in_epoch(step) + 1 == self.steps(self.epoch(step))

    def clips_in(self, step):
        cycle = self.stages[self.stage(step, 1)][1]
        rounds, rest = divmod(self.step_in_epoch(step), len(cycle))
        before = self.lanes * (rounds * sum(cycle) + sum(cycle[:rest]))
        return min(self.clips, before + self.lanes * cycle[rest]) - min(self.clips, before)

    def factor(self, step):
        return self.stages[self.stage(step, 1)][2]


def multigrid_stages(recipe, epochs):
    """The stages of multigrid training; docs/decisions/0031-multigrid.md has the rules."""
    frames, size = int(recipe["model.groups"]), int(recipe["model.input_size"])
    lane, kind, short = int(recipe["batch.clips_per_lane"]), recipe["schedule.kind"], recipe["schedule.multigrid"]
    if frames < 4 or size < 32 or short not in ("long", "both"):
        raise ValueError(short)

    def side(part):
        return max(16, math.floor(size / math.sqrt(part) / 8 + 0.5) * 8)

    def factor(shape):
        whole, part = frames * size * size, shape[0] * shape[1] * shape[1]
        return max(1, (2 * whole + part) // (2 * part))

    def long_cycle(count, is_last):
        shapes = [(frames // 4, side(2)), (frames // 2, side(2)), (frames // 2, size), (frames, size)]
        cycles = []
        for shape in shapes:
            plain = short == "long" or is_last and shape == shapes[-1]
            cycles.append([factor(each) for each in [shape] + ([] if plain else [(shape[0], side(2)), (shape[0], side(4))])])
        weights = [3 // len(cycle) * sum(cycle) for cycle in cycles]
        done, stages = 0, []
        for number, shape in enumerate(shapes):
            end = (2 * count * sum(weights[:number + 1]) + sum(weights)) // (2 * sum(weights))
            if is_last:
                end = count if shape == shapes[-1] else min(end, count - 1)
            if end > done:
                stages.append((end - done, [lane * clips for clips in cycles[number]], factor(shape)))
                done = end
        return stages

    reductions = []
    if kind == "step":
        every = int(recipe["schedule.step_epochs"])
        reductions = list(range(every, epochs, every))
    elif kind == "multi-step":
        reductions = [each for each in map(int, re.findall(r"\d+", recipe["schedule.milestones"])) if each < epochs]
    if not reductions:
        return long_cycle(epochs, True)
    stages = []
    for first, end in zip([0] + reductions, reductions):
        stages += long_cycle(end - first, False)
    return stages + [(0, [lane], 1)]


class Schedule:
    """The learning rates that a recipe gives, step after step."""

    def __init__(self, section, epochs, plan, revised, validations):
        self.kind = section["schedule.kind"]
        self.base, self.gamma = float(section["optimizer.learning_rate"]), float(section["schedule.gamma"])
        self.every, self.patience = int(section["schedule.step_epochs"]), int(section["schedule.patience"])
        if self.kind not in ("cosine", "cosine-step", "step", "multi-step", "plateau") or self.every < 1:
            raise ValueError(self.kind)
        self.milestones = [int(text) for text in re.findall(r"\d+", section["schedule.milestones"])]
        self.warmup = plan.steps_in(float(section["schedule.warmup_epochs"]))
        self.epochs, self.plan, self.revised = epochs, plan, revised
        # The plateau's: sums of the present epoch, None where they are not known; what came of those before.
        self.loss, self.clips = 0, 0
        self.best, self.waited, self.reductions = None, 0, 0
        # Or the validations that it follows, those to come.
        every = int(section.get("validation.every_epochs", "0"))
        self.follows = section.get("schedule.plateau_on") == "validation"
        self.validations = [row for row in validations
                            if every and plan.step_in_epoch(row[0]) == 0 and plan.epoch(row[0]) % every == 0]

    def rate(self, step):
        epoch = self.plan.epoch(step)
        if self.kind in ("cosine", "cosine-step"):
            rate = self.cosine(step)
        elif self.kind == "step":
            rate = self.base * self.gamma ** (epoch // self.every)
        elif self.kind == "multi-step":
            rate = self.base * self.gamma ** sum(milestone <= epoch for milestone in self.milestones)
        elif self.follows:
            while self.validations and self.validations[0][0] <= step:
                self.judge(self.validations.pop(0))
            rate = self.base * self.gamma ** self.reductions
        elif self.loss is None:
            return None
        else:
            rate = self.base * self.gamma ** self.reductions
        return rate * self.plan.factor(step) * min(1, (step + 1) / max(self.warmup, 1e-300))

    def cosine(self, step):
        rate, start, end = self.base, 0, self.plan.first_step(self.epochs)

        def fallen(step):
            if end <= start:
                return rate
            place = step - self.plan.step_in_epoch(step) if self.kind == "cosine" else step
            done = max(place, start) - start
            return rate * (1 + math.cos(math.pi * min(1, done / (end - start)))) / 2

        for revision, epochs in self.revised:
            if revision <= step:
                rate = fallen(max(start, min(revision, end - 1)))
                start, end = revision, self.plan.first_step(epochs)
        return fallen(step)

    def take(self, row):
        """A step is over, and with it perhaps an epoch."""
        if self.kind != "plateau" or self.follows or self.loss is None:
            return
        # A step that was skipped leaves the state as it was, and does not count.
        if row["state_digest"] in ("", None) or row["state_digest"] != row["weights_digest"]:
            units = row["loss"] * row["clips"] * 2.0 ** 32
            if not abs(units) < 2.0 ** 51:
                self.loss = None
                return
            self.loss += round(units)
            self.clips += row["clips"]
        if not self.plan.ends_epoch(row["step"]):
            return
        if self.clips:
            mean = self.loss * 2.0 ** -32 / self.clips
            self.wait(mean, self.best is None or mean < self.best * (1 - 1e-4))
        self.loss, self.clips = 0, 0

    def judge(self, row):
        """A validation is over: better is a higher mAP where it is measured, else a higher top-1 accuracy; or an equal
        one and a lower mean loss."""
        self.wait(row, self.best is None or self.is_better(row, self.best))

    @staticmethod
    def is_better(row, other):
        (_, clips, top1, loss, precision), (_, other_clips, other_top1, other_loss, other_precision) = row, other
        if not clips or not other_clips:
            return clips > other_clips
        if None not in (precision, other_precision):
            if precision != other_precision:
                return precision > other_precision
        elif top1 * other_clips != other_top1 * clips:
            return top1 * other_clips > other_top1 * clips
        return None not in (loss, other_loss) and loss * other_clips < other_loss * clips

    def wait(self, value, better):
        if better:
            self.best, self.waited = value, 0
        elif self.waited == self.patience:
            self.reductions, self.waited = self.reductions + 1, 0
        else:
            self.waited += 1


def main():
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        sys.exit(print("usage: audit.py DIR", file=sys.stderr) or 64)
    audit = Audit(sys.argv[1])
    try:
        audit.run()
    except NoRun as error:
        sys.exit(print(f"audit.py: {error}", file=sys.stderr) or 65)
    for problem in audit.problems:
        print(f"audit.py: {problem}", file=sys.stderr)
    if audit.problems:
        sys.exit(1)
    print(f"ok: {len(audit.live)} steps, {audit.whole_epochs} epochs whole, {audit.checkpoint_count} checkpoints, "
          f"{audit.generation_count} generations")


main()
