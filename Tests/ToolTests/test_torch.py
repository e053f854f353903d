"""tools/tamring_torch.py against the golden steps of the reference implementation: needs PyTorch."""
import unittest

import golden
import tamring_file
import tamring_torch
import torch


def error(value, expected):
    """The largest difference, as a part of the tensor's largest magnitude."""
    expected = torch.from_numpy(expected.copy()).double()
    return float((value.detach().double() - expected).abs().max() / expected.abs().max().clamp_min(1e-30))


class GoldenSteps(unittest.TestCase):
    def test_each(self):
        folders = golden.steps()
        self.assertTrue(folders, f"no golden steps in {golden.SHARED}")
        for folder in folders:
            with self.subTest(folder.name):
                self.check(folder)

    def test_probabilities_are_those_of_the_loss(self):
        logits, net = torch.tensor([[0.0, 2.0]]), torch.nn.Identity()
        for net.loss, expected in (("softmax", [[0.11920292, 0.88079708]]), ("binary", [[0.5, 0.88079708]])):
            torch.testing.assert_close(tamring_torch.probabilities(net, logits), torch.tensor(expected))

    def check(self, folder):
        net = tamring_torch.load(folder / "state.safetensors", folder / "recipe.yaml")
        batch, _ = tamring_file.read_safetensors(folder / "batch.safetensors")
        expected, _ = tamring_file.read_safetensors(folder / "expected.safetensors")
        clips, labels = (torch.from_numpy(batch[name].copy()) for name in ("input", "labels"))
        values = {}
        with torch.no_grad():
            values["eval_logits"] = net(clips)
        net.train()
        values["logits"] = net(clips)
        loss = torch.nn.functional.cross_entropy(values["logits"], labels)
        loss.backward()
        values["loss"] = loss.reshape(1)
        values |= {"grad." + name: tensor.grad for name, tensor in net.named_parameters()}
        values |= {
            "buffer." + name: tensor for name, tensor in net.named_buffers() if not name.endswith("num_batches_tracked")}
        for name, tensor in expected.items():
            if name.startswith(("param.", "momentum.")) or name.endswith("num_batches_tracked"):
                continue
            if name == "loss":
                tensor = tensor.reshape(1)
            self.assertLess(error(values[name], tensor), 1e-4, f"{folder.name}: {name}")


if __name__ == "__main__":
    unittest.main()
