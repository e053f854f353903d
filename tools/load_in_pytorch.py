#!/usr/bin/env python3
"""Loads a model.safetensors of Tamring into PyTorch tensors by name, with PyTorch and the standard library alone.

usage: load_in_pytorch.py MODEL.safetensors
"""
import json
import struct
import sys

try:
    import torch
except ImportError:
    sys.exit("load_in_pytorch.py: needs PyTorch: pip install torch")


def load(path):
    """Returns the state dict: tensors under the reference implementation's names."""
    with open(path, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
        body = bytearray(file.read())
    state = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        if entry["dtype"] != "F32":
            raise ValueError(f"{path}: {name} is {entry['dtype']}, expected F32")
        start, end = entry["data_offsets"]
        values = torch.frombuffer(body, dtype=torch.float32, count=(end - start) // 4, offset=start)
        state[name] = values.reshape(entry["shape"]).clone()
    return state


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    tensors = load(sys.argv[1])
    print(f"{len(tensors)} tensors, {sum(t.numel() for t in tensors.values())} numbers")
    for name in ("baseline_model.conv1.weight", "new_fc.weight"):
        tensor = tensors[name]
        print(f"{name} {tuple(tensor.shape)}: mean {tensor.mean():.6f}, deviation {tensor.std():.6f}")
    layer = torch.nn.Conv2d(3, tensors["baseline_model.conv1.weight"].shape[0], 7, stride=2, padding=3, bias=False)
    layer.load_state_dict({"weight": tensors["baseline_model.conv1.weight"]})
    print("the stem's convolution was loaded into torch.nn.Conv2d")
