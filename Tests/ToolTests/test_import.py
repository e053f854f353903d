"""tools/import_weights, on files of its own making: needs numpy. Files of PyTorch itself: test_import_torch.py."""
import contextlib
import importlib.machinery
import importlib.util
import io
import os
import pathlib
import pickle
import tempfile
import unittest
import zipfile

import golden
import numpy
import tamring_file
import tamring_networks
import torch_file

loader = importlib.machinery.SourceFileLoader("import_weights", str(golden.TOOLS / "import_weights"))
import_weights = importlib.util.module_from_spec(importlib.util.spec_from_loader("import_weights", loader))
loader.exec_module(import_weights)

RECIPE = """\
model:
  architecture: {}
  depth: 50
  width: 8
  groups: 8
  input_size: 64
  classes: 7
"""


def shapes(architecture, **changes):
    network = tamring_networks.Shapes()
    model = {**tamring_file.DEFAULTS, "architecture": architecture, "width": 8, "groups": 8, "classes": 7, **changes}
    tamring_networks.build(model, network)
    return network.tensors


class Folder(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def convert(self, state, architecture):
        """(what came out, what was said) of a safetensors file with these tensors."""
        source, recipe, out = (self.folder / name for name in ("in.safetensors", "recipe.yaml", "out.safetensors"))
        tamring_file.write_safetensors(source, state, {})
        recipe.write_text(RECIPE.format(architecture))
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            import_weights.convert(source, out, recipe)
        return *tamring_file.read_safetensors(out), said.getvalue()


def numbered(shapes):
    """Tensors that can be told apart."""
    generator = numpy.random.default_rng(1)
    return {name: generator.random(shape, "<f4") for name, shape in shapes.items()}


class Names(Folder):
    """The names of four programs, as their sources write them."""

    def same(self, ours, theirs, architecture, but=()):
        taken, metadata, said = self.convert(theirs, architecture)
        for name, values in ours.items():
            if name not in but:
                numpy.testing.assert_array_equal(taken[name], values, name)
        return taken, metadata, said

    def test_torchvision(self):
        ours = numbered(shapes("tsn"))
        theirs = {**ours, "fc.weight": numpy.ones((1000, 256), "<f4"), "fc.bias": numpy.ones(1000, "<f4")}
        taken, metadata, said = self.same(ours, theirs, "tsn", but=("fc.weight", "fc.bias"))
        self.assertNotIn("fc.weight", taken)
        self.assertIn("fc.bias: [1000], here [7]: a classifier of other classes", said)
        self.assertIn("missing, to begin anew: 2 (fc.*)", said)
        self.assertNotIn("tamring_recipe", metadata)

    def test_a_whole_model_says_what_it_is(self):
        ours = numbered(shapes("tsm"))
        theirs = {}
        for name, values in ours.items():
            name = "new_fc." + name[3:] if name.startswith("fc.") else "base_model." + name
            # Every block of depth 50 shifts.
            name = name.replace("conv1.weight", "conv1.net.weight") if ".layer" in name else name
            theirs[name] = values
        self.assertIn("base_model.layer3.5.conv1.net.weight", theirs)
        _, metadata, said = self.same(ours, theirs, "tsm")
        self.assertEqual(tamring_file.parse_recipe(metadata["tamring_recipe"])["model.architecture"], "tsm")
        self.assertIn("read as TSM", said)

    def test_mmaction(self):
        ours = numbered(shapes("tsm"))
        theirs = {}
        for name, values in ours.items():
            parts = name.split(".")
            if parts[0] == "fc":
                parts = ["cls_head", "fc_cls", parts[1]]
            elif "downsample" in parts:
                parts[-2:-1] = [{"0": "conv", "1": "bn"}[parts[-2]]]
                parts = ["backbone", *parts]
            else:
                layer = parts[-2]
                kind = "conv" if layer.startswith("conv") else "bn"
                net = ["net"] if layer == "conv1" and len(parts) > 2 else []
                parts = ["backbone", *parts[:-2], "conv" + layer[-1], kind, *net, parts[-1]]
            theirs[".".join(parts)] = values
        self.assertIn("backbone.layer1.0.downsample.bn.running_var", theirs)
        self.assertIn("backbone.conv1.bn.weight", theirs)
        self.assertIn("backbone.layer2.1.conv1.conv.net.weight", theirs)
        _, _, said = self.same(ours, theirs, "tsm")
        self.assertIn("read as MMAction2", said)

    def test_big_little_image_network(self):
        ours = numbered(shapes("blvnet"))
        theirs = {name.removeprefix("baseline_model.").replace("new_fc", "fc"): v for name, v in ours.items()}
        theirs |= {"fc.weight": numpy.ones((1000, 256), "<f4"), "fc.bias": numpy.ones(1000, "<f4")}
        taken, _, said = self.convert(theirs, "blvnet-tam")
        for name, values in ours.items():
            if not name.startswith("new_fc"):
                numpy.testing.assert_array_equal(taken[name], values, name)
        self.assertIn("read as bLResNet", said)
        for tap, value in (("prev", 0), ("curr", 1), ("next", 0)):
            for place in ("", ".layer2", ".layer4.1"):
                self.assertTrue((taken[f"baseline_model{place}.tam.{tap}.weight"] == value).all())
        self.assertIn("new temporal modules, as the identity: 21 (", said)

    def test_inflation_repeats_and_does_not_divide(self):
        flat = numbered(shapes("tsn"))
        taken, metadata, _ = self.convert(flat, "i3d")
        self.assertIn("tamring_recipe", metadata)
        for name, length in (("conv1.weight", 3), ("layer1.0.conv2.weight", 3), ("layer4.2.conv3.weight", 1)):
            self.assertEqual(taken[name].shape[2], length)
            for tap in range(length):
                numpy.testing.assert_array_equal(taken[name][:, :, tap], flat[name])

    def test_nothing_that_matches_is_an_error(self):
        with self.assertRaisesRegex(tamring_file.BadFile, "none of its 1 tensors, such as 'a', belongs to tsn"):
            self.convert({"a": numpy.ones(3, "<f4")}, "tsn")

    def test_numbers_that_are_none(self):
        state = numbered(shapes("tsn"))
        state["bn1.weight"][3] = numpy.nan
        with self.assertRaisesRegex(tamring_file.BadFile, "'bn1.weight' holds a number that is not finite"):
            self.convert(state, "tsn")


class Evil:
    """Writes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch '{self.path}'",)


class HostilePickles(Folder):
    def refused(self, data, text, zipped=False):
        path = self.folder / "weights.pth"
        if zipped:
            with zipfile.ZipFile(path, "w") as archive:
                archive.writestr("archive/data.pkl", data)
        else:
            path.write_bytes(data)
        with self.assertRaises(tamring_file.BadFile) as caught:
            torch_file.read(path)
        self.assertIn(text, str(caught.exception))
        self.assertNotIn("\n", str(caught.exception))
        self.assertTrue(str(caught.exception).startswith(str(path)))

    def test_nothing_is_executed(self):
        witness = self.folder / "witness"
        for protocol in range(5):
            for value in (Evil(witness), {"state_dict": {"a": Evil(witness)}}):
                data = pickle.dumps(value, protocol)
                old = pickle.dumps(torch_file.MAGIC, 2) + pickle.dumps(1001, 2) + pickle.dumps({}, 2) + data
                for zipped, bytes in ((True, data), (False, old)):
                    self.refused(bytes, "wants to use 'posix.system'", zipped)
        self.assertFalse(witness.exists())
        # The same pickle does its work where it is believed: the test would notice.
        pickle.loads(pickle.dumps(Evil(witness)))
        self.assertTrue(witness.exists())

    def test_other_names(self):
        for name in ("builtins eval", "builtins getattr", "builtins exec", "torch load", "numpyx y", "subprocess Popen"):
            self.refused(f"c{name.replace(' ', chr(10))}\n.".encode(), "wants to use", zipped=True)

    def test_wrong_files(self):
        self.refused(b"", "not a file of PyTorch")
        self.refused(b"hello, world", "not a file of PyTorch")
        self.refused(b"<html>not found</html>", "not a file of PyTorch")
        self.refused(pickle.dumps({"a": 1}, 2), "none of PyTorch")
        self.refused(b"\x80\x02", "not a file of PyTorch")
        self.refused(pickle.dumps({"a": 1}, 2), "no tensors by name", zipped=True)
        self.refused(b"(" * 100_000 + b".", "not a file of PyTorch", zipped=True)
        self.refused(b"\x8a\xff" + b"\xff" * 300, "not a file of PyTorch", zipped=True)
        self.refused(b"\x8d" + b"\xff" * 8, "not a file of PyTorch", zipped=True)
        self.refused(b"]" + b"]" * 200_000 + b"a" * 200_000 + b".", "not a state dict", zipped=True)

    def test_a_tensor_beyond_its_storage(self):
        def tensor(offset, shape, strides, count=4):
            return (
                b"}X\1\0\0\0actorch._utils\n_rebuild_tensor_v2\n((X\7\0\0\0storagectorch\nFloatStorage\nX\1\0\0\0" + b"0X\3\0\0\0cpu"
                + b"K" + bytes([count]) + b"tQK" + bytes([offset]) + shape + strides + b"\x89NtRs.")
        def written(data, numbers=4):
            path = self.folder / "weights.pth"
            with zipfile.ZipFile(path, "w") as archive:
                archive.writestr("archive/data.pkl", data)
                archive.writestr("archive/data/0", numpy.arange(numbers, dtype="<f4").tobytes())
            return torch_file.read(path)
        good = written(tensor(0, b"K\2K\2\x86", b"K\1K\2\x86"))
        numpy.testing.assert_array_equal(good["a"], [[0, 2], [1, 3]])
        for data, numbers in (
            (tensor(1, b"K\2K\2\x86", b"K\1K\2\x86"), 4), (tensor(0, b"K\2K\2\x86", b"K\1K\2\x86"), 3),
            (tensor(0, b"K\5\x85", b"K\1\x85"), 4),
        ):
            with self.assertRaisesRegex(tamring_file.BadFile, "beyond its storage"):
                written(data, numbers)


if __name__ == "__main__":
    unittest.main()
