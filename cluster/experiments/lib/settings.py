"""Which networks each question compares, on which data, and how they are trained."""

import hashlib
from dataclasses import dataclass
from itertools import combinations, permutations

SEEDS = (1, 2, 3)

# A network and the frames of a clip. All questions share the runs with 8 frames.
TAM = ("blvnet-tam", 8)
QUESTIONS = {
    "cost": [TAM, ("tsn", 8), ("i3d", 8)],
    "fusion": [TAM, ("blvnet", 8)],
    "frames": [("blvnet-tam", 4), TAM, ("blvnet-tam", 16), ("blvnet-tam", 32)],
    "shift": [TAM, ("blvnet-tsm", 8)],
}
TITLES = {
    "cost": "accuracy against multiply-adds, memory and seconds a clip",
    "fusion": "temporal modules against local fusion alone",
    "frames": "frames of a clip",
    "shift": "temporal modules against temporal shift",
}


@dataclass(frozen=True, eq=False)
class DataSet:
    name: str
    classes: int
    epochs: int
    lists: dict  # keys of the recipe's data section
    groups: list  # of classes that show the same frames in another order; not all classes are in one

    def group(self, label):
        return next((group for group in self.groups if label in group), [])


def long_groups():
    """Two events in either order, soon or late after one another; three events in any order."""
    events = ("flash", "hop", "swell")
    pairs = [
        [f"{a} then {b} {when}" for a, b in permutations(pair) for when in ("soon", "late")]
        for pair in combinations(events, 2)]
    return [*pairs, [" ".join(three) for three in permutations(events)]]


DATA = {
    "long": DataSet("long", 18, 8, {"flip": "true"}, long_groups()),
    "physical": DataSet(
        "physical", 16, 8,
        {"train_list": "train.json", "validation_list": "validation.json", "train_videos": "videos",
         "validation_videos": "videos", "flip": "false"},
        [["Opening a door", "Closing a door"],
         ["Pushing something from left to right", "Pushing something from right to left"],
         ["Rolling something towards the camera", "Rolling something away from the camera"],
         ["Lifting something up", "Lowering something"],
         ["Covering something", "Uncovering something"]]),
}


@dataclass(frozen=True)
class Run:
    network: str
    frames: int
    data: DataSet
    seed: int

    @property
    def name(self):
        return f"{self.data.name}-{self.network}-{self.frames}-seed{self.seed}"

    @property
    def recipe_digest(self):
        return hashlib.sha256(self.recipe.encode()).hexdigest()[:16]

    @property
    def recipe(self):
        """The recipe as YAML. Everything that is not here has its default."""
        lists = "".join(f"  {key}: {value}\n" for key, value in self.data.lists.items())
        return f"""name: {self.name}
seed: {self.seed}
model:
  architecture: {self.network}
  width: 16
  groups: {self.frames}
  input_size: 48
  dropout: 0
  classes: {self.data.classes}
optimizer:
  kind: adamw
  learning_rate: 0.001
  weight_decay: 0.01
schedule:
  kind: cosine-step
  epochs: {self.data.epochs}
  warmup_epochs: 1
batch:
  lanes: 2
  clips_per_lane: 8
validation:
  every_epochs: 0
checkpoint:
  keep: 1
data:
  path: ../{self.data.name}
{lists}"""


def networks(questions):
    """The networks and frames of the questions, each once."""
    return list(dict.fromkeys(network for question in questions for network in QUESTIONS[question]))


def runs(questions, data_sets, seeds):
    """The runs of the questions: all with the first seed, then all with the next."""
    return [Run(*network, data, seed) for seed in seeds for network in networks(questions) for data in data_sets]
