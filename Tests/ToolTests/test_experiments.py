"""The parts of cluster/experiments that need no packages: scenes, settings, and what is read from runs."""
import os
import pathlib
import random
import sys
import tempfile
import types
import unittest
from xml.etree import ElementTree

LIBRARY = pathlib.Path(__file__).resolve().parents[2] / "cluster" / "experiments" / "lib"
sys.path.insert(0, str(LIBRARY))

import results  # noqa: E402
import scenes  # noqa: E402
import settings  # noqa: E402


class Scenes(unittest.TestCase):
    def test_a_scene_is_a_function_of_its_draws_and_well_formed(self):
        def text(make, seed):
            scene = scenes.Scene(random.Random(seed))
            make(scene)
            return scene.xml()

        for name, make in scenes.CLASSES.items():
            with self.subTest(name):
                self.assertEqual(text(make, "1"), text(make, "1"))
                self.assertNotEqual(text(make, "1"), text(make, "2"))
                self.assertEqual(ElementTree.fromstring(text(make, "1")).tag, "mujoco")

    def test_a_way_passes_its_points_in_equal_times(self):
        points = [(0, 0), (2, 0), (2, 4)]
        self.assertEqual([scenes.along(points, t) for t in (-1, 0, 0.25, 0.5, 0.75, 1, 2)],
                         [[0, 0], [0, 0], [1, 0], [2, 0], [2, 2], [2, 4], [2, 4]])


class Settings(unittest.TestCase):
    def test_groups_are_of_classes_that_there_are(self):
        physical = {name.replace("[", "").replace("]", "") for name in scenes.CLASSES}
        self.assertEqual(len(physical), settings.DATA["physical"].classes)
        grouped = [label for group in settings.DATA["physical"].groups for label in group]
        self.assertLessEqual(set(grouped), physical)
        long = [label for group in settings.DATA["long"].groups for label in group]
        self.assertEqual(len(set(long)), settings.DATA["long"].classes)


class Results(unittest.TestCase):
    def test_one_seed_has_no_spread(self):
        self.assertEqual(results.spread([0.5]), "50.0")
        self.assertEqual(results.spread([0.5, 0.6, 0.7]), "60.0 ± 10.0")

    def test_finding_the_group_counts_apart_from_finding_the_class_in_it(self):
        data = settings.DataSet("", 3, 1, {}, [["a", "b"]])
        rows = [["true class", "a", "b", "c"], ["a", "3", "1", "0"], ["b", "2", "1", "1"], ["c", "1", "0", "1"]]
        self.assertEqual(results.grouped(rows, data), (7 / 8, 4 / 7))

    @unittest.skipUnless("WORKER" in os.environ, "needs the built worker")
    def test_what_the_worker_prints_of_every_network_is_read(self):
        with tempfile.TemporaryDirectory() as folder:
            (pathlib.Path(folder) / "recipes").mkdir()
            runs = types.SimpleNamespace(folder=pathlib.Path(folder), worker=os.environ["WORKER"])
            adds = {}
            for network, frames in settings.QUESTIONS["cost"] + settings.QUESTIONS["frames"]:
                cost = results.measure_cost(runs, network, frames, steps=1)
                adds[network, frames] = cost.multiply_adds
                self.assertGreater(min(cost.parameters, cost.megabytes, cost.seconds), 0)
            self.assertEqual(4 * adds["blvnet-tam", 8], adds["blvnet-tam", 32])
            self.assertGreater(adds["i3d", 8], adds["tsn", 8])
            path = pathlib.Path(folder) / "costs.csv"
            results.write_csv(path, results.Cost, [cost])
            self.assertEqual([c.multiply_adds for c in results.read_csv(path, results.Cost)], [cost.multiply_adds])


if __name__ == "__main__":
    unittest.main()
