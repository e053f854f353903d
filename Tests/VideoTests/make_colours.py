#!/usr/bin/env python3
"""Prints the numbers of PixelChangesTests.swift: torchvision's colour changes, written out in PyTorch (hue: Python's
colorsys), of a frame of six pixels."""

import colorsys

import torch

frame = torch.tensor([
    [0.9, 0.1, 0.2], [0.25, 0.5, 0.75], [0.0, 1.0, 0.3], [0.6, 0.6, 0.6], [0.1, 0.05, 0.8], [0.7, 0.65, 0.0],
])
grey = (frame * torch.tensor([0.2989, 0.587, 0.114])).sum(1, keepdim=True)


def blend(other, factor):
    return (factor * frame + (1 - factor) * other).clamp(0, 1)


def hue(turns):
    rows = []
    for r, g, b in frame.tolist():
        h, s, v = colorsys.rgb_to_hsv(r, g, b)
        rows.append(colorsys.hsv_to_rgb((h + turns) % 1, s, v))
    return torch.tensor(rows)


for name, result in [
    ("frame", frame), ("brightness 1.3", blend(torch.zeros(1), 1.3)), ("contrast 0.6", blend(grey.mean(), 0.6)),
    ("contrast 1.5", blend(grey.mean(), 1.5)), ("saturation 0.4", blend(grey, 0.4)),
    ("saturation 1.8", blend(grey, 1.8)), ("hue 0.2", hue(0.2)), ("hue -0.45", hue(-0.45)),
]:
    print(name, [round(x, 5) for x in result.flatten().tolist()])
