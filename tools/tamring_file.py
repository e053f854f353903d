"""Reads what Tamring writes: a model.safetensors, a checkpoint's folder or a run directory. Needs numpy.

    file = tamring_file.read("runs/gestures")
    file.tensors["conv1.weight"]    # numpy arrays by name
    file.model["architecture"]      # the recipe's model section, with its defaults
    file.loss                       # "softmax": a clip has one class; "binary": each class is a yes or a no
    file.classes                    # the names of the classes; empty in files that do not hold them
"""
import json
import pathlib
import struct

import numpy

# The recipe's defaults (docs/reference.md).
DEFAULTS = {
    "architecture": "blvnet-tam", "depth": 50, "width": 64, "groups": 16, "input_size": 224, "alpha": 2, "beta": 4,
    "blending_frames": 3, "shift_div": 8, "temporal_stride": False, "temporal_pooling": "max", "dropout": 0.5,
    "classes": 400,
}
# Bytes; no header of a network is longer.
LONGEST_HEADER = 100_000_000
DTYPES = {"F32": "<f4", "F16": "<f2", "F64": "<f8", "I32": "<i4", "I64": "<i8"}


class BadFile(Exception):
    """A file that cannot be used; the text says which, why, and what to do."""


class ModelFile:
    """A model: `path`, `tensors`, `model` (the recipe's section), `loss`, `classes`, and all other `metadata`."""

    def __init__(self, path, tensors, metadata, model, loss="softmax"):
        self.path, self.tensors, self.metadata, self.model, self.loss = path, tensors, metadata, model, loss
        self.classes = json.loads(metadata.get("tamring_classes", "[]"))


def read(path, recipe=None):
    """The model in a file, in a checkpoint's folder, or in a run directory (its best checkpoint, else its newest).

    The model section comes from `recipe`, a path, where it is given; else from the file's metadata; else from the
    recipe.yaml of the run that the file lies in, or beside the file.
    """
    path = locate(path)
    tensors, metadata = read_safetensors(path)
    if recipe is not None:
        text = pathlib.Path(recipe).read_text()
    elif "tamring_recipe" in metadata:
        text = metadata["tamring_recipe"]
    else:
        near = [path.parent / "recipe.yaml", path.parent.parent.parent / "recipe.yaml"]
        text = next((place.read_text() for place in near if place.is_file()), None)
        if text is None:
            raise BadFile(f"{path}: does not say which network it is of; name the recipe that it was trained with")
    values = parse_recipe(text)
    section = {key.removeprefix("model."): value for key, value in values.items() if key.startswith("model.")}
    return ModelFile(path, tensors, metadata, {**DEFAULTS, **section}, values.get("loss.kind", "softmax"))


def locate(path):
    """The model.safetensors that `path` stands for."""
    path = pathlib.Path(path)
    if not path.is_dir():
        if not path.is_file():
            raise BadFile(f"{path}: there is no such file; give a safetensors file, a checkpoint or a run directory")
        return path
    steps = sorted(place for place in (path / "checkpoints").glob("step-*") if place.name[5:].isdecimal())
    for place in [path, path / "checkpoints" / "best", *reversed(steps)]:
        if (place / "model.safetensors").is_file():
            return place / "model.safetensors"
    raise BadFile(f"{path}: holds no model.safetensors and no checkpoints; give a checkpoint or a run directory")


def read_safetensors(path):
    """(arrays by name, metadata) of a safetensors file. The arrays are read from the file when they are used."""
    size = pathlib.Path(path).stat().st_size
    with open(path, "rb") as file:
        head = file.read(8)
        length = struct.unpack("<Q", head)[0] if len(head) == 8 else size
        if length > min(size - 8, LONGEST_HEADER):
            raise BadFile(f"{path}: is not a safetensors file")
        try:
            header = json.loads(file.read(length))
        except ValueError:
            raise BadFile(f"{path}: is not a safetensors file: its header is no JSON") from None
    if not isinstance(header, dict):
        raise BadFile(f"{path}: is not a safetensors file: its header is no JSON object")
    metadata = header.pop("__metadata__", {})
    body = numpy.memmap(path, numpy.uint8, "r", 8 + length, size - 8 - length) if size > 8 + length else b""
    tensors = {}
    for name, entry in header.items():
        try:
            start, end = entry["data_offsets"]
            if entry["dtype"] == "BF16":
                # The upper half of a float32.
                values = numpy.asarray(body[start:end]).view("<u2").astype("<u4") << 16
                tensors[name] = values.view("<f4").reshape(entry["shape"])
            else:
                tensors[name] = numpy.asarray(body[start:end]).view(DTYPES[entry["dtype"]]).reshape(entry["shape"])
        except (KeyError, TypeError, ValueError):
            raise BadFile(f"{path}: '{name}' is of a kind or a shape that cannot be read") from None
    return tensors, metadata


def write_safetensors(path, tensors, metadata):
    """Writes float32 arrays: the same bytes for the same arrays."""
    header, offset = {}, 0
    if metadata:
        header["__metadata__"] = dict(sorted(metadata.items()))
    for name in sorted(tensors, key=str.encode):
        count = 4 * tensors[name].size
        header[name] = {"dtype": "F32", "shape": list(tensors[name].shape), "data_offsets": [offset, offset + count]}
        offset += count
    head = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    head += b" " * (-len(head) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(head)) + head)
        for name in sorted(tensors, key=str.encode):
            file.write(numpy.ascontiguousarray(tensors[name], "<f4").tobytes())


def parse_recipe(text):
    """The scalars of a recipe's YAML as {"section.key": value}: the subset that Tamring writes."""
    values, section = {}, ""
    for line in text.splitlines():
        line = line.split(" #")[0].rstrip() if '"' not in line else line.rstrip()
        if not line.strip() or line.lstrip().startswith("#") or ":" not in line:
            continue
        key, value = (part.strip() for part in line.split(":", 1))
        if not line.startswith(" "):
            section = key + "." if not value else ""
        if value:
            values[section + key if line.startswith(" ") else key] = _scalar(value)
    return values


def _scalar(text):
    if text in ("true", "false"):
        return text == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return text.strip("\"'")
