#!/usr/bin/env python3
"""One rank of data-parallel training of bLVNet-TAM in PyTorch: DistributedDataParallel on gloo, random clips.

Each rank reads a line from standard input before each round, and then answers with a line of JSON: the seconds of each
of its steps. A step has `--lanes` micro-batches of one clip; gradients are exchanged with the last one's backward pass.
With one rank there is no DistributedDataParallel.
"""
import argparse
import contextlib
import json
import sys
import time

import torch
from torch import distributed
from torch.nn.parallel import DistributedDataParallel

from blvnet import BLVNetTAM

parser = argparse.ArgumentParser()
parser.add_argument("--ranks", type=int, required=True)
parser.add_argument("--rank", type=int, required=True)
parser.add_argument("--store", required=True, help="a file that all ranks can reach and that is not there yet")
parser.add_argument("--model", type=json.loads, default={})
parser.add_argument("--size", type=int, default=224)
parser.add_argument("--lanes", type=int, default=1)
parser.add_argument("--steps", type=int, default=5, help="of a round, after one that brings all to the same point")
parser.add_argument("--channels-last", action="store_true")
options = parser.parse_args()

torch.manual_seed(1)
torch.set_num_threads(1)
# What our lanes do, too: subnormal numbers are slow, and mean nothing here.
torch.set_flush_denormal(True)
network = BLVNetTAM(**options.model)
for parameter in network.parameters():
    if not parameter.any():
        torch.nn.init.constant_(parameter, 0.125)
clips = [torch.randn(network.groups, 3, options.size, options.size) for _ in range(options.lanes)]
if options.channels_last:
    network = network.to(memory_format=torch.channels_last)
    clips = [clip.to(memory_format=torch.channels_last) for clip in clips]
label = torch.tensor([options.rank])
model, alone = network, contextlib.nullcontext
if options.ranks > 1:
    distributed.init_process_group("gloo", init_method=f"file://{options.store}", rank=options.rank,
                                   world_size=options.ranks)
    # Gradients live in the buckets: one copy less.
    model = DistributedDataParallel(network, gradient_as_bucket_view=True)
    alone = model.no_sync
optimizer = torch.optim.SGD(network.parameters(), lr=1e-3, momentum=0.9, nesterov=True, weight_decay=5e-4)


def step():
    optimizer.zero_grad(set_to_none=options.ranks == 1)
    for clip in clips[:-1]:
        with alone():
            (torch.nn.functional.cross_entropy(model(clip), label) / options.lanes).backward()
    (torch.nn.functional.cross_entropy(model(clips[-1]), label) / options.lanes).backward()
    optimizer.step()


while sys.stdin.readline():
    seconds = []
    for turn in range(options.steps + 1):
        begin = time.perf_counter()
        step()
        if turn:
            seconds.append(time.perf_counter() - begin)
    print(json.dumps({"seconds": seconds}), flush=True)
if options.ranks > 1:
    distributed.destroy_process_group()
