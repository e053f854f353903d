"""tools/torch_file.py on files that PyTorch writes, in both of its formats: needs PyTorch."""
import collections
import pathlib
import tempfile
import unittest

import golden
import numpy
import tamring_networks
import tamring_torch
import torch
import torch_file


class Written(unittest.TestCase):
    def test_both_formats(self):
        base = torch.arange(240, dtype=torch.float32).reshape(2, 3, 4, 10)
        tensors = collections.OrderedDict({
            "whole": base, "turned": base.permute(3, 1, 0, 2), "part": base[1, ::2, 1:3, ::3], "empty": base[:0],
            "single": torch.tensor(2.5), "half": (base / 7).half(), "bf16": (base / 7).bfloat16(),
            "double": base.double() / 7, "many": torch.ones(3).expand(5, 3), "parameter": torch.nn.Parameter(base),
            "integers": torch.arange(5), "bn.num_batches_tracked": torch.tensor(7),
        })
        optimizer = torch.optim.SGD([torch.nn.Parameter(base.clone())], 0.1, 0.9)
        whole = {"epoch": 3, "arch": "resnet50", "best_prec1": torch.tensor(71.5), "optimizer": optimizer.state_dict(),
                 "accuracy": numpy.float64(0.5), "state_dict": {f"module.{name}": v for name, v in tensors.items()}}
        with tempfile.TemporaryDirectory() as folder:
            for zipped in (True, False):
                for value in (tensors, whole):
                    path = pathlib.Path(folder) / "weights.pth.tar"
                    torch.save(value, path, _use_new_zipfile_serialization=zipped)
                    read = torch_file.read(path)
                    self.assertEqual(set(read), set(tensors) - {"bn.num_batches_tracked"})
                    for name, values in read.items():
                        self.assertEqual(values.dtype, numpy.float32)
                        expected = tensors[name].detach().float().numpy()
                        numpy.testing.assert_array_equal(values, expected, f"{name}, zip {zipped}")

    def test_a_whole_module_is_refused(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "model.pth"
            torch.save(tamring_torch.build({"architecture": "tsn", "width": 8}), path)
            with self.assertRaisesRegex(torch_file.BadFile, "FrameResNet|state dict"):
                torch_file.read(path)

    def test_the_structure_is_that_of_the_modules(self):
        for architecture in ("blvnet-tam", "blvnet", "blvnet-tsm", "tsn", "tsm", "tam", "i3d"):
            for changes in ({}, {"depth": 101, "blending_frames": 5, "alpha": 4, "beta": 2}):
                model = {"architecture": architecture, "width": 8, "groups": 16, "classes": 7, **changes}
                net = tamring_torch.build(model)
                shapes = tamring_networks.Shapes()
                tamring_networks.build(net.model, shapes)
                own = {name: tuple(tensor.shape) for name, tensor in net.state_dict().items()
                       if not name.endswith("num_batches_tracked")}
                self.assertEqual(shapes.tensors, own, model)


if __name__ == "__main__":
    unittest.main()
