"""Renders the physical data set: short videos of things that are pushed, lifted, dropped, covered…, by MuJoCo.

The clips are functions of seed, split and number; the bytes also of the versions of MuJoCo, Mesa and FFmpeg. A folder
whose making was cut goes on where it was. Lists are as Something-Something V2 has them."""

import argparse
import json
import multiprocessing
import os
import pathlib
import random
import signal
import sys

os.environ.setdefault("MUJOCO_GL", "egl")
os.environ.setdefault("LP_NUM_THREADS", "1")  # Mesa's; the clips are what runs in parallel

import av
import numpy as np

try:
    import mujoco
except (AttributeError, ImportError, RuntimeError) as error:
    sys.exit(f"physical-data: MuJoCo cannot draw here ({error}); install libegl1, libegl-mesa0 and libgl1-mesa-dri")

from scenes import CLASSES, FRAMES, FRAMES_PER_SECOND, SIZE, STEPS_PER_FRAME, Camera, Scene


def frames(seed, split, number):
    """The pictures of a clip, [SIZE, SIZE, 3] bytes each."""
    draws = random.Random(f"{seed} {split} {number}")
    scene = Scene(draws)
    CLASSES[template(number)](scene)
    camera = Camera(draws)
    model = mujoco.MjModel.from_xml_string(scene.xml())
    data = mujoco.MjData(model)
    painter = Painter(model)
    for _ in range(FRAMES):
        for _ in range(STEPS_PER_FRAME):
            scene.act(model, data)
            mujoco.mj_step(model, data)
        camera.place(painter.view, data.time)
        yield painter.paint(data)
    painter.close()


class Painter:
    """Paints a model. mujoco.Renderer would open a display for each, which takes as long as a clip."""

    display = None  # of this process

    def __init__(self, model):
        if not Painter.display:
            Painter.display = mujoco.GLContext(SIZE, SIZE)
            Painter.display.make_current()
        self.model, self.view, self.options = model, mujoco.MjvCamera(), mujoco.MjvOption()
        self.scene = mujoco.MjvScene(model, maxgeom=100)
        self.context = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_50)
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, self.context)
        self.whole = mujoco.MjrRect(0, 0, SIZE, SIZE)

    def paint(self, data):
        mujoco.mjv_updateScene(
            self.model, data, self.options, None, self.view, mujoco.mjtCatBit.mjCAT_ALL, self.scene)
        mujoco.mjr_render(self.whole, self.scene, self.context)
        picture = np.empty((SIZE, SIZE, 3), np.uint8)
        mujoco.mjr_readPixels(picture, None, self.whole, self.context)
        return np.ascontiguousarray(picture[::-1])  # OpenGL's first row is the lowest

    def close(self):
        self.context.free()


def write_video(path, pictures):
    """Writes an H.264 file; it appears under its name once it is whole."""
    part = path.with_suffix(".part")
    with av.open(str(part), "w", format="mp4", options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream("libx264", rate=round(2 * FRAMES_PER_SECOND), options={
            "preset": "veryfast", "qp": "24", "x264-params": "threads=1:lookahead-threads=1:weightp=0:scenecut=0"})
        stream.width = stream.height = SIZE
        stream.pix_fmt = "yuv420p"
        stream.thread_count = 1
        stream.flags |= av.codec.context.Flags.bitexact
        for number, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts = 2 * number  # a picture lasts two ticks, since the rate is no whole number
            for packet in stream.encode(frame):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    part.rename(path)


def make(job):
    folder, seed, split, number = job
    path = folder / "videos" / f"{name(split, number)}.mp4"
    if not path.exists():
        write_video(path, frames(seed, split, number))


def leave_signals():
    """Ctrl-C is for the process that waits for us; it then ends us."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def name(split, number):
    return f"{split}-{number:05d}"


def template(number):
    return list(CLASSES)[number % len(CLASSES)]


def contact_sheet(path, seed, columns=6, rows=8):
    """A picture with a row of frames for each class, of the clip of that class with the lowest number."""
    from PIL import Image

    sheet = Image.new("RGB", (-(-len(CLASSES) // rows) * columns * SIZE, rows * SIZE))
    for number in range(len(CLASSES)):
        pictures = list(frames(seed, "train", number))
        for column in range(columns):
            picture = pictures[(2 * column + 1) * FRAMES // (2 * columns)]
            place = (number // rows * columns + column) * SIZE, number % rows * SIZE
            sheet.paste(Image.fromarray(picture), place)
    sheet.quantize(256).save(path)


def begin(folder, counts, seed):
    """Makes the folder, or checks that what is there was begun with the same settings."""
    settings = "\n".join([f"physical data set, seed {seed}", *(f"{split} {n}" for split, n in counts.items()), ""])
    stamp = folder / "physical-data.txt"
    if stamp.exists():
        if stamp.read_text() != settings:
            sys.exit(f"{folder}: holds a physical data set with other settings ({stamp.name}); give another folder")
    elif folder.exists() and any(folder.iterdir()):
        sys.exit(f"{folder}: holds something else; give an empty or a new folder")
    (folder / "videos").mkdir(parents=True, exist_ok=True)
    stamp.write_text(settings)


def main():
    parser = argparse.ArgumentParser(prog="cluster/experiments/physical-data", description=__doc__)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--train", type=int, default=1920, help="clips of the training list (1920)")
    parser.add_argument("--validation", type=int, default=320, help="clips of the validation list (320)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=os.cpu_count(), help="as many clips at once (one for each core)")
    parser.add_argument("--sheet", metavar="PNG", help="also draw some frames of a clip of each class")
    options = parser.parse_args()
    counts = {"train": options.train, "validation": options.validation}
    if min(counts.values()) < 1 or options.processes < 1:
        parser.error("counts of clips and processes are at least 1")

    begin(options.folder, counts, options.seed)
    lists = {split: options.folder / f"{split}.json" for split in counts}
    if all(path.exists() for path in lists.values()):
        print(f"{options.folder}: the data set is there")
    else:
        make_all(options, counts, lists)
    if options.sheet:
        contact_sheet(options.sheet, options.seed)


def make_all(options, counts, lists):
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    jobs = [(options.folder, options.seed, split, n) for split, count in counts.items() for n in range(count)]
    with multiprocessing.get_context("spawn").Pool(options.processes, leave_signals) as pool:
        for done, _ in enumerate(pool.imap_unordered(make, jobs), 1):
            if done % 100 == 0 or done == len(jobs):
                print(f"physical data: {done} of {len(jobs)} clips", flush=True)
    for split, path in lists.items():
        rows = [{"id": name(split, n), "template": template(n)} for n in range(counts[split])]
        path.write_text(json.dumps(rows, indent=0) + "\n")


if __name__ == "__main__":
    try:
        main()
    except (OSError, mujoco.FatalError) as error:
        sys.exit(f"physical-data: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
