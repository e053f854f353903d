#!/usr/bin/env python3
"""One rank of float32 all-reduces over gloo, as torch.distributed offers them, like `worker bench allreduce`.

Each rank reads a line from standard input before each round, and then answers with a line of JSON. In between it
sleeps in a system call, so that other programs can take their turns. GLOO_SOCKET_IFNAME names the interface.
"""
import argparse
import json
import sys
import time

import torch
from torch import distributed

parser = argparse.ArgumentParser()
parser.add_argument("--ranks", type=int, required=True)
parser.add_argument("--rank", type=int, required=True)
parser.add_argument("--store", required=True, help="a file that all ranks can reach and that is not there yet")
parser.add_argument("--bytes", type=int, required=True)
parser.add_argument("--repeats", type=int, default=1)
options = parser.parse_args()

torch.set_num_threads(1)
distributed.init_process_group("gloo", init_method=f"file://{options.store}", rank=options.rank,
                               world_size=options.ranks)
torch.manual_seed(options.rank)
source = torch.randn(options.bytes // 4)
values = source.clone()

while sys.stdin.readline():
    # In place, as DistributedDataParallel does it. Sums of sums may become infinite, which takes no longer to add.
    values.copy_(source)
    seconds = []
    # The first one brings all to the same point.
    for turn in range(options.repeats + 1):
        begin = time.perf_counter()
        distributed.all_reduce(values)
        if turn:
            seconds.append(time.perf_counter() - begin)
    print(json.dumps({"bytes": options.bytes, "seconds": seconds}), flush=True)
distributed.destroy_process_group()
