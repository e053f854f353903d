"""tools/tamring_file.py: which model a path stands for, and what its file says. Needs numpy."""
import os
import pathlib
import tempfile
import unittest

import golden  # noqa: F401
import numpy
import tamring_file


class Files(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.run_folder = pathlib.Path(folder.name)

    def write(self, name, metadata):
        path = self.run_folder / name / "model.safetensors"
        path.parent.mkdir(parents=True)
        tamring_file.write_safetensors(path, {"a": numpy.float32([[1, 2], [3, 4]])}, metadata)
        return path

    def test_a_run_stands_for_its_best_or_newest_checkpoint(self):
        old, new = (self.write(f"checkpoints/step-{step:08}", {}) for step in (9, 10))
        (self.run_folder / "checkpoints" / "step-00000011").mkdir()
        self.assertEqual(tamring_file.locate(self.run_folder), new)
        self.assertEqual(tamring_file.locate(old.parent), old)
        self.assertEqual(tamring_file.locate(old), old)
        os.symlink("step-00000009", self.run_folder / "checkpoints" / "best")
        self.assertTrue(tamring_file.locate(self.run_folder).samefile(old))
        with self.assertRaisesRegex(tamring_file.BadFile, "holds no model.safetensors and no checkpoints"):
            tamring_file.locate(self.run_folder / "checkpoints" / "step-00000011")

    def test_the_model_section_is_the_files_else_the_runs(self):
        recipe = "# ours\nname: \"x # y\"\nmodel:\n  architecture: tsn  # no modules\n  width: 8\n  temporal_stride: true\ndata:\n  width: 3\n"
        alone = self.write("alone", {"tamring_recipe": "model:\n  depth: 101\n", "tamring_classes": '["a", "é"]'})
        self.assertEqual(tamring_file.read(alone).model["depth"], 101)
        self.assertEqual(tamring_file.read(alone).classes, ["a", "é"])
        self.assertEqual(tamring_file.read(alone).loss, "softmax")
        several = self.write("several", {"tamring_recipe": "model:\n  depth: 101\nloss:\n  kind: binary\n"})
        self.assertEqual(tamring_file.read(several).loss, "binary")
        numpy.testing.assert_array_equal(tamring_file.read(alone).tensors["a"], [[1, 2], [3, 4]])
        inside = self.write("checkpoints/step-00000001", {})
        with self.assertRaisesRegex(tamring_file.BadFile, "does not say which network"):
            tamring_file.read(inside)
        (self.run_folder / "recipe.yaml").write_text(recipe)
        model = tamring_file.read(inside).model
        self.assertEqual((model["architecture"], model["width"], model["temporal_stride"]), ("tsn", 8, True))
        self.assertEqual(model["groups"], 16)

    def test_files_that_are_none(self):
        for data in (b"", b"12345", b"\xff" * 8 + b"{}", b"\x02" + bytes(7) + b"[]", b"\x02" + bytes(7) + b"{x",
                     b"\x33" + bytes(7) + b'{"a":{"dtype":"F32","shape":[9],"data_offsets":[0,4]}}'[:51] + bytes(4)):
            path = self.run_folder / "bad.safetensors"
            path.write_bytes(data)
            with self.assertRaisesRegex(tamring_file.BadFile, "is not a safetensors file|cannot be read"):
                tamring_file.read_safetensors(path)


if __name__ == "__main__":
    unittest.main()
