#!/usr/bin/env python3
"""Times loading uniform frames of a video with other libraries, one line of JSON each, like `worker bench decode`.

Each time the file is opened, the frames are decoded on one thread, scaled so that the shorter side is size/0.875 pixels,
cut to a square and normalised to float32. Reads a line from standard input before each time, so that a caller can let
several programs take turns.
"""
import argparse
import json
import sys
import time

import numpy as np

parser = argparse.ArgumentParser()
parser.add_argument("library", choices=["pyav", "pyav-tuned", "decord", "torchcodec", "torchcodec-exact"])
parser.add_argument("path")
parser.add_argument("frames", type=json.loads, help="the numbers of the frames, a JSON list")
parser.add_argument("--size", type=int, default=224)
parser.add_argument("--times", type=int, default=5)
options = parser.parse_args()

# (x / 255 - mean) / deviation, for a row: NumPy is slow where it repeats three numbers.
MEAN, DEVIATION = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])
SCALE = np.tile(np.float32(1) / (255 * DEVIATION), options.size)
SHIFT = np.tile(MEAN / DEVIATION, options.size)


def scaled(width, height):
    """The picture's size before the square is cut out."""
    short = round(options.size / 0.875)
    if width < height:
        return short, round(height * short / width)
    return round(width * short / height), short


def square(picture):
    """Cuts out the middle, and normalises it to float32, [S, S, 3]."""
    row = (picture.shape[0] - options.size) // 2
    column = (picture.shape[1] - options.size) // 2
    middle = picture[row:row + options.size, column:column + options.size]
    result = middle.astype(np.float32, order="C").reshape(options.size, -1)
    result *= SCALE
    result -= SHIFT
    return result.reshape(middle.shape)


class Converter:
    """PyAV's conversion, set up once for all frames of a video."""

    def __init__(self):
        from av.video.reformatter import VideoReformatter
        self.reformatter = VideoReformatter()

    def square(self, frame):
        width, height = scaled(frame.width, frame.height)
        picture = self.reformatter.reformat(
            frame, width=width, height=height, format="rgb24", interpolation="BILINEAR")
        return square(picture.to_ndarray())


def pyav():
    """As its users do: decode from the beginning to the last frame, and keep what is wanted."""
    import av
    found, converter = {}, Converter()
    with av.open(options.path) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        for number, frame in enumerate(container.decode(stream)):
            if number in wanted:
                found[number] = converter.square(frame)
            if number >= last:
                break
    return np.stack([found[number] for number in options.frames])


def pyav_tuned():
    """Demuxes first, decodes to the last wanted frame, and drops unreferenced pictures that nobody wants."""
    import av
    found, converter = {}, Converter()
    with av.open(options.path) as container:
        stream = container.streams.video[0]
        context = stream.codec_context
        context.thread_count = 1
        packets = [packet for packet in container.demux(stream) if packet.size]
        times = sorted(packet.pts for packet in packets if packet.pts is not None)
        if len(set(times)) != len(packets):
            return pyav()
        numbers = {time: number for number, time in enumerate(times) if number in wanted}
        for packet in packets + [None]:
            if packet is not None:
                context.skip_frame = "DEFAULT" if packet.pts in numbers else "NONREF"
            for frame in context.decode(packet):
                if frame.pts in numbers:
                    found[numbers[frame.pts]] = converter.square(frame)
            if len(found) == len(numbers):
                break
    return np.stack([found[number] for number in options.frames])


def torchcodec(mode="approximate"):
    from torchcodec.decoders import VideoDecoder
    from torchcodec.transforms import CenterCrop, Resize
    facts = size_of_torchcodec()
    width, height = scaled(*facts)
    decoder = VideoDecoder(
        options.path, num_ffmpeg_threads=1, seek_mode=mode, dimension_order="NHWC",
        transforms=[Resize((height, width)), CenterCrop((options.size, options.size))])
    return np.stack([square(picture) for picture in decoder.get_frames_at(indices=options.frames).data.numpy()])


def size_of_torchcodec(known={}):
    if options.path not in known:
        from torchcodec.decoders import VideoDecoder
        facts = VideoDecoder(options.path).metadata
        known[options.path] = (facts.width, facts.height)
    return known[options.path]


def size_of_decord(known={}):
    if options.path not in known:
        import decord
        known[options.path] = decord.VideoReader(options.path, num_threads=1)[0].shape[1::-1]
    return known[options.path]


def decord_batch():
    import decord
    width, height = scaled(*size_of_decord())
    reader = decord.VideoReader(options.path, width=width, height=height, num_threads=1)
    return np.stack([square(picture) for picture in reader.get_batch(options.frames).asnumpy()])


wanted = set(options.frames)
last = max(options.frames)
load = {
    "pyav": pyav, "pyav-tuned": pyav_tuned, "decord": decord_batch, "torchcodec": torchcodec,
    "torchcodec-exact": lambda: torchcodec("exact"),
}[options.library]
load()
for _ in range(options.times):
    if not sys.stdin.readline():
        break
    start = time.perf_counter()
    result = load()
    seconds = time.perf_counter() - start
    assert result.shape == (len(options.frames), options.size, options.size, 3) and result.dtype == np.float32
    print(json.dumps({"seconds": seconds}), flush=True)
