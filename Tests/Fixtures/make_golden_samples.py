#!/usr/bin/env python3
"""Makes a small golden step of a whole one: make_golden_samples.py GOLDEN_FOLDER OUTPUT_FOLDER

A golden step is one training step of the reference implementation in PyTorch, computed in float64 from float32
parameters. Recipe, state and batch are copied. Of each tensor of expected.safetensors, sample.safetensors keeps at most
16 elements, evenly spread, and as max.NAME the largest magnitude of all its elements.
"""
import json
import pathlib
import shutil
import struct
import sys

import numpy as np

KEPT = 16


def read(path):
    data = path.read_bytes()
    length = struct.unpack("<Q", data[:8])[0]
    for name, entry in json.loads(data[8 : 8 + length]).items():
        if name == "__metadata__" or entry["dtype"] != "F32":
            continue
        start, end = (8 + length + offset for offset in entry["data_offsets"])
        yield name, np.frombuffer(data[start:end], dtype="<f4")


def write(path, tensors):
    header, body = {}, b""
    for name in sorted(tensors):
        data = tensors[name].astype("<f4").tobytes()
        header[name] = {"dtype": "F32", "shape": [len(tensors[name])], "data_offsets": [len(body), len(body) + len(data)]}
        body += data
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + body)


def main():
    source, target = map(pathlib.Path, sys.argv[1:])
    target.mkdir(parents=True, exist_ok=True)
    for name in ("recipe.yaml", "state.safetensors", "batch.safetensors"):
        shutil.copyfile(source / name, target / name)
    tensors = {}
    for name, values in read(source / "expected.safetensors"):
        # Parameters and momenta after the step follow from the gradients: a few elements show that they do.
        kept = KEPT if name.startswith(("grad.", "buffer.", "logits", "loss", "eval_logits")) else 4
        tensors[name] = values[:: max(1, len(values) // kept)][:kept]
        tensors["max." + name] = np.abs(values).max(keepdims=True)
    write(target / "sample.safetensors", tensors)


main()
