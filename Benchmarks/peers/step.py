#!/usr/bin/env python3
"""Times training steps (or evaluations) of a network in PyTorch, one line of JSON each, like `worker bench step`.

Reads a line from standard input before each step, so that a caller can let two programs take turns.
"""
import argparse
import json
import resource
import sys
import time

import torch

from relatives import build

parser = argparse.ArgumentParser()
parser.add_argument("--model", type=json.loads, default={})
parser.add_argument("--size", type=int, default=224)
parser.add_argument("--clips", type=int, default=1)
parser.add_argument("--threads", type=int, default=1)
parser.add_argument("--steps", type=int, default=5)
parser.add_argument("--channels-last", action="store_true")
parser.add_argument("--evaluate", action="store_true")
parser.add_argument("--bf16", action="store_true", help="autocast")
options = parser.parse_args()

torch.manual_seed(1)
torch.set_num_threads(options.threads)
# What our lanes do, too: subnormal numbers are slow, and mean nothing here.
torch.set_flush_denormal(True)
model = build(**options.model)
for parameter in model.parameters():
    if not parameter.any():
        torch.nn.init.constant_(parameter, 0.125)
images = torch.randn(options.clips * model.groups, 3, options.size, options.size)
if options.channels_last:
    volumes = torch.channels_last_3d if options.model.get("architecture") == "i3d" else torch.channels_last
    model, images = model.to(memory_format=volumes), images.to(memory_format=torch.channels_last)
labels = torch.arange(options.clips) % options.model.get("classes", 400)
optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9, nesterov=True, weight_decay=5e-4)
model.train(not options.evaluate)


def forward():
    with torch.autocast("cpu", torch.bfloat16, enabled=options.bf16):
        return model(images)


def step():
    if options.evaluate:
        with torch.inference_mode():
            return forward()
    optimizer.zero_grad(set_to_none=True)
    torch.nn.functional.cross_entropy(forward().float(), labels).backward()
    optimizer.step()


step()
for _ in range(options.steps):
    if not sys.stdin.readline():
        break
    begin = time.perf_counter()
    step()
    seconds = time.perf_counter() - begin
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"seconds": seconds, "clips": options.clips, "peak_bytes": peak}), flush=True)
