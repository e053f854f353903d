"""Reads the tensors of PyTorch's files (.pth, .pth.tar; of torch 0.2 or later) without PyTorch, and executes nothing.

A pickle is a program that calls what it likes. This reads its instructions one by one, calls nothing, and keeps what
would be called as a name. Of those names it knows the ones that make tensors and containers; any other is an error.
Needs numpy.
"""
import io
import math
import mmap
import pickletools
import zipfile

import numpy

import tamring_file

BadFile = tamring_file.BadFile

MAGIC = 0x1950A86A20F9469CFC6C
# Bytes of the instructions; the largest checkpoints have a few MB.
LONGEST_PICKLE = 1 << 28
STORAGES = {
    "FloatStorage": "<f4", "DoubleStorage": "<f8", "HalfStorage": "<f2", "BFloat16Storage": "bf16", "LongStorage": "<i8",
    "IntStorage": "<i4", "ShortStorage": "<i2", "CharStorage": "<i1", "ByteStorage": "<u1", "BoolStorage": "<u1",
}
CONTAINERS = {("collections", "OrderedDict"), ("collections", "defaultdict"), ("builtins", "dict"), ("__builtin__", "dict")}
# What checkpoints hold beside tensors: read past, never made.
IGNORED = ("numpy", "mmcv", "mmengine", "mmaction", "argparse", "torch.optim", "torch.nn", "torch._C", "torch.storage",
           "torch.distributed", "torch.version", "datetime", "easydict", "addict", "yacs", "omegaconf")
IGNORED_NAMES = {
    ("builtins", "set"), ("builtins", "frozenset"), ("builtins", "bytearray"), ("builtins", "complex"),
    ("builtins", "slice"), ("builtins", "range"), ("__builtin__", "set"), ("__builtin__", "frozenset"),
    ("__builtin__", "bytearray"), ("_codecs", "encode"), ("torch", "device"), ("torch", "Size"), ("torch", "dtype"),
    ("collections", "Counter"), ("collections", "deque"), ("pathlib", "PosixPath"), ("pathlib", "Path"),
}


class Name:
    """A function or a class that the pickle names."""

    def __init__(self, module, name):
        self.module, self.name = module, name


class Call:
    """What a pickle would call or make: never done."""

    def __init__(self, name, arguments):
        self.name, self.arguments = name, arguments


class Storage:
    """A row of numbers that tensors are views of."""

    def __init__(self, key, kind, count, first=0):
        self.key, self.kind, self.count, self.first = key, kind, count, first


class Tensor:
    """A view of a storage."""

    def __init__(self, storage, offset, shape, strides):
        self.storage, self.offset, self.shape, self.strides = storage, offset, shape, strides

    def array(self, storages):
        """A float32 copy."""
        kind, values = self.storage.kind, storages[self.storage.key]
        values = values[self.storage.first:self.storage.first + self.storage.count]
        last = self.offset + sum((size - 1) * stride for size, stride in zip(self.shape, self.strides))
        if 0 in self.shape:
            return numpy.zeros(self.shape, "<f4")
        if self.offset < 0 or any(stride < 0 for stride in self.strides) or last >= len(values):
            raise ValueError("a tensor reaches beyond its storage")
        if math.prod(self.shape) > max(1 << 20, 4 * len(values)):
            raise ValueError("a tensor is far larger than its storage")
        view = numpy.lib.stride_tricks.as_strided(
            values[self.offset:], self.shape, [stride * values.itemsize for stride in self.strides])
        if kind == "bf16":
            return (view.astype("<u4") << 16).view("<f4")
        return view.astype("<f4")


def read(path):
    """{name: float32 array} of a file's state dict, with `module.` taken from the names."""
    try:
        with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            if data[:2] == b"PK":
                whole, storages = _read_zip(path, file)
            else:
                whole, storages = _read_old(data)
            return _state(path, whole, storages)
    except BadFile as error:
        raise BadFile(f"{path}: {error}") from None
    except OSError as error:
        raise BadFile(f"{path}: cannot be read: {error.strerror or error}") from None
    except RecursionError:
        raise BadFile(f"{path}: is nested too deeply to be a state dict") from None
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, OverflowError, MemoryError, EOFError,
            UnicodeError, zipfile.BadZipFile, NotImplementedError) as error:
        text = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise BadFile(f"{path}: is not a file of PyTorch, or is damaged ({text})") from None


def _state(path, whole, storages):
    for key in ("state_dict", "model_state_dict", "model_state", "model", "net"):
        if isinstance(whole, dict) and isinstance(whole.get(key), dict):
            whole = whole[key]
            break
    if not isinstance(whole, dict):
        what = f"a {whole.name.module}.{whole.name.name}" if isinstance(whole, Call) else "something else"
        raise BadFile(f"holds {what}, not a state dict; save model.state_dict() and not the model")
    state = {}
    for name, value in whole.items():
        if isinstance(name, str) and isinstance(value, Tensor):
            while name.startswith("module."):
                name = name.removeprefix("module.")
            if not name.endswith("num_batches_tracked"):
                state[name] = value.array(storages)
    if not state:
        raise BadFile("holds no tensors by name; save model.state_dict()")
    return state


def _read_zip(path, file):
    size = file.seek(0, 2)
    with zipfile.ZipFile(file) as archive:
        entries = {entry.filename: entry for entry in archive.infolist()}
        pickles = [name for name in entries if name.endswith("data.pkl") and name.count("/") <= 1]
        if len(pickles) != 1:
            raise BadFile("is a zip archive, but none of PyTorch")
        root = pickles[0].removesuffix("data.pkl")

        def contents(name, most):
            entry = entries[name]
            if entry.compress_type != zipfile.ZIP_STORED or entry.file_size > min(size, most):
                raise BadFile(f"'{name}' in it is compressed, or larger than the file")
            return archive.read(entry)

        if root + "byteorder" in entries and contents(root + "byteorder", 16).strip() == b"big":
            raise BadFile("was written on a big-endian machine")
        used = {}
        whole = _run(io.BytesIO(contents(pickles[0], LONGEST_PICKLE)), used)
        storages = {key: _numbers(contents(f"{root}data/{key}", size), kind) for key, kind in used.items()}
    return whole, storages


def _read_old(data):
    if data[257:262] == b"ustar":
        raise BadFile("is a tar archive, as torch 0.1 wrote; load and save it with a newer torch")
    if data[:1] not in (b"\x80", b"(", b"}", b"c", b"]", b"l"):
        raise ValueError("it is no pickle")
    used = {}
    magic = _run(data, used)
    if magic != MAGIC:
        raise BadFile("is a pickle, but none of PyTorch")
    if _run(data, used) != 1001:
        raise BadFile("is of a version of PyTorch's format that is not known")
    system = _run(data, used)
    if isinstance(system, dict) and system.get("little_endian") is False:
        raise BadFile("was written on a big-endian machine")
    whole = _run(data, used)
    keys = _run(data, used)
    storages = {}
    for key in keys:
        kind = used[key]
        count = int.from_bytes(data.read(8), "little")
        item = 2 if kind == "bf16" else numpy.dtype(kind).itemsize
        if count * item > len(data):
            raise ValueError("a storage is larger than the file")
        content = data.read(count * item)
        if len(content) != count * item:
            raise ValueError("it ends too early")
        storages[key] = _numbers(content, kind)
    return whole, storages


def _numbers(data, kind):
    return numpy.frombuffer(data, "<u2" if kind == "bf16" else kind)


def _global(module, name):
    known = (module, name) in CONTAINERS | IGNORED_NAMES or name in STORAGES and module in ("torch", "torch.cuda")
    known = known or (module, name) in REBUILDERS
    if not known and not any(module == root or module.startswith(root + ".") for root in IGNORED):
        raise BadFile(f"wants to use '{module}.{name}', which no state dict needs: not read, and nothing was executed")
    return Name(module, name)


def _persistent(what, used):
    """('storage', type, key, location, count[, view])"""
    if not isinstance(what, tuple) or len(what) < 5 or what[0] != "storage":
        raise ValueError("it refers to something unknown")
    kind, key, count = what[1], str(what[2]), what[4]
    if not isinstance(kind, Name) or kind.name not in STORAGES or not isinstance(count, int) or count < 0:
        raise ValueError("it has a storage of an unknown kind")
    kind, first = STORAGES[kind.name], 0
    if len(what) > 5 and isinstance(what[5], tuple) and len(what[5]) == 3:
        first, count = int(what[5][1]), int(what[5][2])
    if used.setdefault(key, kind) != kind or first < 0 or count < 0:
        raise ValueError("a storage has two kinds")
    return Storage(key, kind, count, first)


def _tensor(arguments):
    storage, offset, shape, strides = arguments[:4]
    numbers = [offset, *shape, *strides]
    if not isinstance(storage, Storage) or not all(isinstance(number, int) for number in numbers):
        raise ValueError("a tensor is made of something unknown")
    if len(shape) != len(strides) or any(size < 0 for size in shape):
        raise ValueError("a tensor has an impossible shape")
    return Tensor(storage, offset, tuple(shape), tuple(strides))


def _from_type(arguments):
    # (function, type, its arguments, state)
    return _made(arguments[0], arguments[2])


REBUILDERS = {
    ("torch._utils", "_rebuild_tensor"): _tensor, ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_parameter"): lambda arguments: arguments[0],
    ("torch._utils", "_rebuild_parameter_with_state"): lambda arguments: arguments[0],
    ("torch._tensor", "_rebuild_from_type_v2"): _from_type,
}


def _made(name, arguments):
    """What a call stands for."""
    if not isinstance(name, Name) or not isinstance(arguments, tuple):
        raise ValueError("it calls something that has no name")
    if (name.module, name.name) in REBUILDERS:
        return REBUILDERS[name.module, name.name](arguments)
    if (name.module, name.name) in CONTAINERS:
        pairs = arguments[0] if arguments and isinstance(arguments[0], (list, dict)) else {}
        return dict(pairs)
    return Call(name, arguments)


def _run(file, used):
    """The value that one pickle stands for. `used` gets the kind of each storage by its key."""
    stack, marks, memo = [], [], {}

    def pop_mark():
        start = marks.pop()
        values = stack[start:]
        del stack[start:]
        return values

    def set_items(target, values):
        if isinstance(target, dict):
            for key, value in zip(values[::2], values[1::2]):
                # A key that is no plain value belongs to nothing that is looked for.
                if isinstance(key, (str, int, float, bool, bytes, type(None), tuple)):
                    target[key] = value

    start = file.tell()
    for code, argument, place in pickletools.genops(file):
        if place is not None and place - start > LONGEST_PICKLE:
            raise BadFile("has more instructions than any state dict")
        name = code.name
        if name in ("PROTO", "FRAME"):
            continue
        if name == "STOP":
            return stack.pop()
        if name == "MARK":
            marks.append(len(stack))
        elif name == "POP":
            if marks and marks[-1] == len(stack):
                marks.pop()
            else:
                stack.pop()
        elif name == "POP_MARK":
            pop_mark()
        elif name == "DUP":
            stack.append(stack[-1])
        elif name in ("NONE", "NEWTRUE", "NEWFALSE"):
            stack.append({"NONE": None, "NEWTRUE": True, "NEWFALSE": False}[name])
        elif name in LITERALS:
            stack.append(argument)
        elif name in ("EMPTY_LIST", "EMPTY_DICT", "EMPTY_TUPLE", "EMPTY_SET"):
            stack.append({"EMPTY_LIST": list, "EMPTY_DICT": dict, "EMPTY_TUPLE": tuple, "EMPTY_SET": list}[name]())
        elif name in ("LIST", "FROZENSET"):
            stack.append(pop_mark())
        elif name == "TUPLE":
            stack.append(tuple(pop_mark()))
        elif name in ("TUPLE1", "TUPLE2", "TUPLE3"):
            count = int(name[-1])
            if len(stack) < count:
                raise ValueError("its stack is empty")
            values = tuple(stack[-count:])
            del stack[-count:]
            stack.append(values)
        elif name == "DICT":
            values = pop_mark()
            stack.append({})
            set_items(stack[-1], values)
        elif name in ("APPEND", "APPENDS", "ADDITEMS"):
            values = [stack.pop()] if name == "APPEND" else pop_mark()
            if isinstance(stack[-1], list):
                stack[-1].extend(values)
        elif name in ("SETITEM", "SETITEMS"):
            if name == "SETITEM":
                value, key = stack.pop(), stack.pop()
                values = [key, value]
            else:
                values = pop_mark()
            set_items(stack[-1], values)
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            stack.append(memo[int(argument)])
        elif name in ("PUT", "BINPUT", "LONG_BINPUT"):
            memo[int(argument)] = stack[-1]
        elif name == "MEMOIZE":
            memo[len(memo)] = stack[-1]
        elif name == "GLOBAL":
            stack.append(_global(*argument.split(" ", 1)))
        elif name == "STACK_GLOBAL":
            own, module = stack.pop(), stack.pop()
            stack.append(_global(str(module), str(own)))
        elif name in ("REDUCE", "NEWOBJ"):
            arguments, function = stack.pop(), stack.pop()
            stack.append(_made(function, arguments))
        elif name == "NEWOBJ_EX":
            _, arguments, function = stack.pop(), stack.pop(), stack.pop()
            stack.append(_made(function, arguments))
        elif name == "INST":
            stack.append(_made(_global(*argument.split(" ", 1)), tuple(pop_mark())))
        elif name == "OBJ":
            values = pop_mark()
            stack.append(_made(values[0], tuple(values[1:])))
        elif name == "BUILD":
            # The state of an object: nothing that is read has any.
            stack.pop()
        elif name == "BINPERSID":
            stack.append(_persistent(stack.pop(), used))
        else:
            raise ValueError(f"it has the instruction {name}, which no state dict needs")
    raise ValueError("it has no end")


LITERALS = {
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT", "STRING", "BINSTRING",
    "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BINBYTES", "SHORT_BINBYTES",
    "BINBYTES8", "BYTEARRAY8",
}
