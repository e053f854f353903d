#!/usr/bin/env python3
"""A small elastic training with PyTorch's DistributedDataParallel on gloo, as torchrun's users write one.

torchrun starts it. Each rank leaves its process id in FOLDER/ranks/RESTART-RANK; rank 0 adds one line for each
finished step to FOLDER/steps, and saves a checkpoint every K steps. After a restart all go on from the newest one.
"""
import argparse
import os
import pathlib
import time

import torch
from torch import nn
from torch.distributed import barrier, init_process_group
from torch.nn.parallel import DistributedDataParallel

CLASSES = 6
FRAMES = 8
SIZE = 64


class Block(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs))
        self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, src):
        return torch.relu(self.body(src) + self.shortcut(src))


class VideoNetwork(nn.Module):
    """A ResNet of four blocks over frames, averaged over time."""

    def __init__(self, width=16):
        super().__init__()
        widths = [width, 2 * width, 4 * width, 8 * width]
        self.stem = nn.Sequential(nn.Conv2d(3, width, 7, 2, 3, bias=False), nn.BatchNorm2d(width), nn.ReLU())
        self.blocks = nn.Sequential(*[
            Block(i, o, 1 if n == 0 else 2) for n, (i, o) in enumerate(zip([width] + widths, widths))])
        self.head = nn.Linear(widths[-1], CLASSES)

    def forward(self, src):  # [clips, frames, 3, height, width]
        clips, frames = src.shape[:2]
        features = self.blocks(self.stem(src.flatten(0, 1))).mean((2, 3))
        return self.head(features.reshape(clips, frames, -1).mean(1))


def save(path, step, network, optimizer):
    temporary = path.with_suffix(".new")
    torch.save({"step": step, "network": network.module.state_dict(), "optimizer": optimizer.state_dict()}, temporary)
    os.replace(temporary, path)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=pathlib.Path, required=True)
    parser.add_argument("--clips", type=int, required=True, help="of a rank in a step")
    parser.add_argument("--checkpoint-every", type=int, required=True)
    parser.add_argument("--steps", type=int, default=1_000_000)
    options = parser.parse_args()

    torch.set_num_threads(1)
    init_process_group("gloo")
    rank = int(os.environ["RANK"])
    restart = int(os.environ["TORCHELASTIC_RESTART_COUNT"])
    (options.folder / "ranks" / f"{restart}-{rank}").write_text(str(os.getpid()))

    torch.manual_seed(1)
    network = DistributedDataParallel(VideoNetwork())
    optimizer = torch.optim.SGD(network.parameters(), lr=0.05, momentum=0.9)
    checkpoint = options.folder / "checkpoint.pt"
    first = 0
    if checkpoint.exists():
        state = torch.load(checkpoint)
        network.module.load_state_dict(state["network"])
        optimizer.load_state_dict(state["optimizer"])
        first = state["step"]
    # Nobody overwrites the checkpoint before all have read it.
    barrier()

    with (options.folder / "steps").open("a", buffering=1) as log:
        for step in range(first, options.steps):
            # Made up, not decoded: this measures the recovery, not the loader.
            generator = torch.Generator().manual_seed(step * 1000 + rank)
            clips = torch.randn(options.clips, FRAMES, 3, SIZE, SIZE, generator=generator)
            labels = torch.randint(CLASSES, (options.clips,), generator=generator)
            loss = nn.functional.cross_entropy(network(clips), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if rank == 0:
                log.write(f"{step} {restart} {time.time():.6f}\n")
                if (step + 1) % options.checkpoint_every == 0:
                    save(checkpoint, step + 1, network, optimizer)


if __name__ == "__main__":
    main()
