#!/usr/bin/env python3
"""Shows that blvnet.py and relatives.py are the networks: a golden step's loss, logits and gradients, and what it deviates by.

  Benchmarks/peers/check_blvnet.py GOLDEN-FOLDER...
  Benchmarks/peers/check_blvnet.py --bf16 GOLDEN-FOLDER...   how far bf16 autocast is from float32
"""
import json
import pathlib
import struct
import sys

import torch

from relatives import build


def tensors(path):
    data = pathlib.Path(path).read_bytes()
    (size,) = struct.unpack("<Q", data[:8])
    types = {"F32": torch.float32, "I64": torch.int64}
    for name, entry in json.loads(data[8 : 8 + size]).items():
        if name != "__metadata__":
            begin, end = entry["data_offsets"]
            raw = bytearray(data[8 + size + begin : 8 + size + end])
            yield name, torch.frombuffer(raw, dtype=types[entry["dtype"]]).reshape(entry["shape"])


def scalar(text):
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return {"true": True, "false": False}.get(text, text)


def model_section(path):
    """The `model:` section of a golden recipe, which is plain `key: value` lines."""
    found, inside = {}, False
    for line in pathlib.Path(path).read_text().splitlines():
        if line and not line[0].isspace():
            inside = line.startswith("model:")
        elif inside and ":" in line:
            key, value = line.split(":", 1)
            found[key.strip()] = scalar(value.split("#")[0].strip())
    return found


def distance(ours, theirs):
    """Relative to the whole tensor's magnitude."""
    return ((ours - theirs).norm() / theirs.norm()).item()


bf16 = "--bf16" in sys.argv
for folder in map(pathlib.Path, [name for name in sys.argv[1:] if name != "--bf16"]):
    model = build(**model_section(folder / "recipe.yaml"))
    state = dict(tensors(folder / "state.safetensors"))
    missing = set(model.state_dict()) - set(state)
    assert all("num_batches" in name for name in missing), sorted(missing)[:5]
    model.load_state_dict(state, strict=False)
    batch = dict(tensors(folder / "batch.safetensors"))
    expected = dict(tensors(folder / "expected.safetensors"))
    x = batch["input"].unflatten(1, (-1, 3)).flatten(0, 1)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        evaluated = distance(model.eval()(x), expected["eval_logits"])
    model.train()
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        logits = model(x)
        loss = torch.nn.functional.cross_entropy(logits, batch["labels"])
    loss.backward()
    if bf16:
        # A gradient may be beyond all measure (oneDNN's of 3D weights in bf16): it is named, and left out.
        gradients = {n: p.grad.float() for n, p in model.named_parameters() if p.grad is not None}
        wrong = [n for n, g in gradients.items() if not g.norm() < 10 * expected["grad." + n].norm()]
        pairs = [(g.flatten(), expected["grad." + n].flatten()) for n, g in gradients.items() if n not in wrong]
        ours, theirs = (torch.cat(part) for part in zip(*pairs))
        print(f"{folder.name}: evaluation {evaluated:.2e}, logits {distance(logits.detach(), expected['logits']):.2e}, loss "
              f"{distance(loss.detach(), expected['loss']):.2e}, cosine of the gradients "
              f"{torch.nn.functional.cosine_similarity(ours, theirs, dim=0).item():.3f}"
              + (f" without {', '.join(wrong)}" if wrong else ""), flush=True)
        continue

    def deviation(ours, name):
        theirs = expected[name]
        # A tap that reaches no frame has no gradient.
        return ((0 if ours is None else ours) - theirs).abs().max().item() / max(theirs.abs().max().item(), 1e-30), name

    worst = max([deviation(logits.detach(), "logits")]
                + [deviation(p.grad, "grad." + n) for n, p in model.named_parameters()])
    print(f"{folder.name}: largest deviation {worst[0]:.2e} in {worst[1]}")
    if worst[0] > 1e-4:
        sys.exit(1)
