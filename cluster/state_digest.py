"""The digest of a checkpoint's state: XXH3-128 over its numbers, in the order in which the journal's digest takes them.

Standard library only; the module `xxhash` is used where it happens to be there. docs/journal.md has the order.
"""
import json, operator, struct

MASK = (1 << 64) - 1
PRIME32 = [2654435761, 2246822519, 3266489917]
PRIME64 = [11400714785074694791, 14029467366897019727, 1609587929392839161, 9650029242287828579, 2870177450012600261]
SECRET = bytes.fromhex(
    "b8fe6c3923a44bbe7c01812cf721ad1cded46de9839097db7240a4a4b7b3671fcb79e64eccc0e578825ad07dccff7221b8084674f743248e"
    "e03590e6813a264c3c2852bb91c300cb88d0658b1b532ea371644897a20df94e3819ef46a9deacd8a8fa763fe39c343ff9dcbbc7c70b4f1d"
    "8a51e04bcdb45931c89f7ec9d9787364eac5ac8334d3ebc3c581a0fffa1363eb170ddd51b7f0da49d316552629d4689e2b16be587d47a1fc"
    "8ff8b8d17ad031ce45cb3a8f95160428afd7fbcabb4b407e")
BLOCK, STRIPE = 1024, 64


class BadState(Exception):
    pass


def secret(offset):
    return int.from_bytes(SECRET[offset:offset + 8], "little")


SCRAMBLE = [secret(128 + 8 * i) for i in range(8)]


class XXH3:
    """A running XXH3-128 with seed 0, for more than 240 bytes.

    Source: the XXH3 specification in the xxHash project, "Algorithm details for long inputs".
    """

    # What the stripes of a block are combined with, one after the other.
    KEYS = b"".join(SECRET[8 * i:8 * i + STRIPE] for i in range(BLOCK // STRIPE))

    def __init__(self):
        self.sums = [PRIME32[2], *PRIME64[:4], PRIME32[1], PRIME64[4], PRIME32[0]]
        self.length, self.rest, self.last = 0, b"", b""

    def update(self, data):
        self.length += len(data)
        data = self.rest + data
        # The last block is left for the end, even a whole one.
        blocks = max(0, len(data) - 1) // BLOCK
        for first in range(0, blocks, 64):
            self.add_blocks(data[first * BLOCK:min(first + 64, blocks) * BLOCK])
        if blocks:
            self.last = data[blocks * BLOCK - STRIPE:blocks * BLOCK]
        self.rest = data[blocks * BLOCK:]

    def add_blocks(self, data):
        count = len(data) // BLOCK
        terms, sums = self.terms(data, self.KEYS[:BLOCK] * count), self.sums
        for start in range(0, count * BLOCK // 8, BLOCK // 8):
            for i in range(8):
                value = sums[i] + sum(terms[start + i:start + BLOCK // 8:8]) & MASK
                sums[i] = (value ^ value >> 47 ^ SCRAMBLE[i]) * PRIME32[0] & MASK

    def add(self, stripes, keys):
        """The sums of a block do not depend on the order of its stripes."""
        terms = self.terms(stripes, keys)
        self.sums = [value + sum(terms[i::8]) & MASK for i, value in enumerate(self.sums)]

    @staticmethod
    def terms(stripes, keys):
        """What each word adds to its sum: the product of its halves, and the word beside it."""
        words = list(struct.unpack(f"<{len(stripes) // 8}Q", stripes))
        keyed = int.from_bytes(stripes, "little") ^ int.from_bytes(keys, "little")
        halves = struct.unpack(f"<{len(stripes) // 4}I", keyed.to_bytes(len(stripes), "little"))
        words[::2], words[1::2] = words[1::2], words[::2]
        return list(map(operator.add, words, map(operator.mul, halves[::2], halves[1::2])))

    def hexdigest(self):
        if self.length <= 240:
            raise BadState("it has fewer numbers than any network")
        whole = (len(self.rest) - 1) // STRIPE * STRIPE
        if whole:
            self.add(self.rest[:whole], self.KEYS[:whole])
        self.add((self.last + self.rest)[-STRIPE:], SECRET[121:121 + STRIPE])
        low = self.merge(11, self.length * PRIME64[0] & MASK)
        high = self.merge(117, ~(self.length * PRIME64[1]) & MASK)
        return f"{high:016x}{low:016x}"

    def merge(self, offset, start):
        for i in range(0, 8, 2):
            product = (self.sums[i] ^ secret(offset + 8 * i)) * (self.sums[i + 1] ^ secret(offset + 8 * i + 8))
            start += product & MASK ^ product >> 64
        start &= MASK
        start = (start ^ start >> 37) * 0x165667919E3779F9 & MASK
        return start ^ start >> 32


try:
    from xxhash import xxh3_128 as Hash
except ImportError:
    Hash = XXH3


class Tensors:
    """The tensors of a safetensors file, as places in it."""

    def __init__(self, file):
        self.file = file
        start = file.read(8)
        length = int.from_bytes(start, "little")
        if len(start) < 8 or length > 100_000_000:
            raise BadState("a file is not safetensors")
        try:
            header = json.loads(file.read(length))
            self.metadata = header.get("__metadata__", {})
            self.places = {name: (8 + length + entry["data_offsets"][0], 8 + length + entry["data_offsets"][1])
                           for name, entry in header.items() if name != "__metadata__"}
            ends = [8 + length, *(place for pair in self.places.values() for place in pair)]
            size = file.seek(0, 2)
            if not all(isinstance(end, int) and 8 + length <= end <= size for end in ends):
                raise BadState("a file's header has places outside of it")
        except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError):
            raise BadState("a file's header is not that of safetensors")

    def list(self, key, otherwise):
        """A list of names in the metadata."""
        try:
            names = json.loads(self.metadata[key]) if key in self.metadata else otherwise
            if isinstance(names, list) and all(isinstance(name, str) for name in names):
                return names
        except (ValueError, TypeError, RecursionError):
            pass
        raise BadState(f"a file's metadata '{key}' is no list of names")

    def names(self):
        return sorted(self.places, key=str.encode)

    def add(self, name, digest):
        begin, end = self.places[name]
        self.file.seek(begin)
        while begin < end:
            piece = self.file.read(min(1 << 20, end - begin))
            if not piece:
                raise BadState(f"'{name}' is cut off")
            digest.update(piece)
            begin += len(piece)


def state_digest(model_path, trainer_path):
    """As 32 hexadecimal digits. Raises BadState where the files are not those of a checkpoint."""
    with open(model_path, "rb") as model_file, open(trainer_path, "rb") as trainer_file:
        model, trainer = Tensors(model_file), Tensors(trainer_file)
        prefixes = trainer.list("slots", ["momentum."])
        names = model.names()
        slots = [prefix + name for prefix in prefixes for name in names if prefix + name in trainer.places]
        parameters = {name for name in names if any(prefix + name in trainer.places for prefix in prefixes)}
        parameters |= set(trainer.list("parameters", []))
        if not parameters or "trainer.scales" not in trainer.places:
            raise BadState("there are no slots of an optimiser")
        digest = Hash()
        for name in model.names():
            if name in parameters:
                model.add(name, digest)
        for name in slots:
            trainer.add(name, digest)
        for name in model.names():
            if name not in parameters:
                model.add(name, digest)
        trainer.add("trainer.scales", digest)
        return digest.hexdigest()
