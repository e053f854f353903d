#!/usr/bin/env python3
"""Predicts classes with PyTorch and torchcodec, its fastest reader: a path a line in, a line of JSON out.

While a video is computed on all threads, the next ones are decoded on threads of their own. The centre frames of equal
segments, scaled so that the shorter side is size/0.875 pixels, cut to a square, as `worker predict`.
"""
import argparse
import concurrent.futures
import json
import pathlib
import queue
import sys
import threading

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent.parent / "tools"))

import tamring_file  # noqa: E402
import torch  # noqa: E402
from torchcodec.decoders import VideoDecoder  # noqa: E402
from torchcodec.transforms import CenterCrop, Resize  # noqa: E402

from blvnet import BLVNetTAM  # noqa: E402

parser = argparse.ArgumentParser()
parser.add_argument("model")
parser.add_argument("--threads", type=int, default=1)
options = parser.parse_args()

torch.set_num_threads(options.threads)
torch.set_flush_denormal(True)
file = tamring_file.read(options.model)
facts = file.model
net = BLVNetTAM(depth=facts["depth"], width=facts["width"], groups=facts["groups"], classes=facts["classes"])
net.load_state_dict({name: torch.from_numpy(values.copy()) for name, values in file.tensors.items()}, strict=False)
# The faster layout on CPUs that were measured: Benchmarks/README.md.
net = net.eval().to(memory_format=torch.channels_last)
size, frames = facts["input_size"], facts["groups"]
mean = torch.tensor([0.485, 0.456, 0.406]).reshape(1, 3, 1, 1) * 255
deviation = torch.tensor([0.229, 0.224, 0.225]).reshape(1, 3, 1, 1) * 255


def load(path):
    found = VideoDecoder(path, num_ffmpeg_threads=1, seek_mode="approximate").metadata
    short = round(size / 0.875)
    width, height = found.width, found.height
    scaled = (round(height * short / width), short) if width < height else (short, round(width * short / height))
    decoder = VideoDecoder(
        path, num_ffmpeg_threads=1, seek_mode="approximate", transforms=[Resize(scaled), CenterCrop((size, size))])
    count = len(decoder)
    numbers = [min(int(count / frames * (place + 0.5)), count - 1) for place in range(frames)]
    pictures = decoder.get_frames_at(indices=numbers).data
    return ((pictures.float() - mean) / deviation).contiguous(memory_format=torch.channels_last)


def answer(path, pictures):
    with torch.inference_mode():
        probabilities = torch.softmax(net(pictures), 1)[0]
    best = int(probabilities.argmax())
    print(json.dumps({"video": path, "label": best, "probability": float(probabilities[best])}), flush=True)


jobs = queue.Queue(2 * options.threads)


def read():
    for line in sys.stdin:
        jobs.put((line.strip(), pool.submit(load, line.strip())))
    jobs.put(None)


with concurrent.futures.ThreadPoolExecutor(options.threads) as pool:
    threading.Thread(target=read, daemon=True).start()
    while job := jobs.get():
        answer(job[0], job[1].result())
