"""tools/export_onnx: its graphs in onnxruntime. Needs onnx and onnxruntime.

Against the golden steps' `eval_logits`; and, where WORKER names the program, with `worker` on real videos, where
PyTorch is there also with tools/tamring_torch.py.
"""
import importlib.machinery
import importlib.util
import json
import os
import pathlib
import subprocess
import tempfile
import unittest

import golden
import numpy
import onnxruntime
import tamring_file

loader = importlib.machinery.SourceFileLoader("export_onnx", str(golden.TOOLS / "export_onnx"))
export_onnx = importlib.util.module_from_spec(importlib.util.spec_from_loader("export_onnx", loader))
loader.exec_module(export_onnx)

VIDEOS = ["asl_gestures/bird.mkv", "hmdb51/RATRACE_wave_f_nm_np1_fr_goo_37.avi", "kinetics400/R6llTwEh07w.mp4",
          "ucf101/v_SoccerJuggling_g23_c01.avi", "misc/basketball.mp4"]


def run(file, clips):
    """The logits that onnxruntime computes."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        export_onnx.export(file).SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(["logits"], {"clips": clips})[0]


class Graphs(unittest.TestCase):
    def near(self, logits, expected, what):
        self.assertLess(numpy.abs(logits - expected).max(), 1e-4 * max(1e-30, numpy.abs(expected).max()), what)

    def test_golden_steps(self):
        folders = golden.steps()
        self.assertTrue(folders, f"no golden steps in {golden.SHARED}")
        for folder in folders:
            file = tamring_file.read(folder / "state.safetensors", folder / "recipe.yaml")
            clips = numpy.array(tamring_file.read_safetensors(folder / "batch.safetensors")[0]["input"])
            expected = tamring_file.read_safetensors(folder / "expected.safetensors")[0]["eval_logits"]
            self.near(run(file, clips), expected, folder.name)
            # Any batch, with the same graph.
            self.near(run(file, clips[:1]), expected[:1], folder.name)
        for file.loss, expected in (("softmax", "softmax"), ("binary", "sigmoid")):
            properties = {entry.key: entry.value for entry in export_onnx.export(file).metadata_props}
            self.assertEqual(properties["activation"], expected)

    @unittest.skipUnless("WORKER" in os.environ, "WORKER names no worker")
    def test_real_videos(self):
        videos = [str(golden.SHARED / "clips" / name) for name in VIDEOS]
        for folder in golden.steps():
            with tempfile.TemporaryDirectory() as place:
                out = pathlib.Path(place) / "seen.safetensors"
                arguments = ["--model", folder / "state.safetensors", "--recipe", folder / "recipe.yaml", *videos]
                done = subprocess.run(
                    [os.environ["WORKER"], "features", "--inputs", "--out", out, *arguments], capture_output=True, text=True)
                self.assertEqual(done.returncode, 0, done.stderr)
                seen, _ = tamring_file.read_safetensors(out)
                seen = {name: numpy.array(values) for name, values in seen.items()}
            file = tamring_file.read(folder / "state.safetensors", folder / "recipe.yaml")
            logits = run(file, seen["input"])
            self.near(logits, seen["logits"], folder.name)
            predicted = subprocess.run(
                [os.environ["WORKER"], "predict", "--json", "--top", "1000", *arguments], capture_output=True, text=True)
            lines = predicted.stdout.splitlines()
            self.assertEqual(len(lines), len(VIDEOS), predicted.stderr)
            for row, line in zip(logits, lines):
                powers = numpy.exp(row - row.max())
                for entry in json.loads(line)["classes"]:
                    self.assertAlmostEqual(entry["probability"], powers[entry["label"]] / powers.sum(), delta=1e-4)
            try:
                import tamring_torch
                import torch
            except (ImportError, SystemExit):
                continue
            with torch.no_grad():
                net = tamring_torch.load(folder / "state.safetensors", folder / "recipe.yaml")
                self.near(net(torch.from_numpy(seen["input"])).numpy(), seen["logits"], folder.name)


if __name__ == "__main__":
    unittest.main()
