#!/usr/bin/env python3
"""Makes quantised_sums.json: the integer sum over lanes of stochastically rounded gradients, computed with numpy and
Python's unbounded integers, from an implementation of Philox 4x32-10 of its own. Run it in this folder; the gradients
are taken as bit patterns, so the file does not depend on how anything prints a float.

  python3 make_quantised_sums.py > quantised_sums.json
"""

import json

import numpy as np


def philox(counters, key):
    """counters: uint64 array [n, 4] of 32-bit words; returns the same shape."""
    word = np.uint64(0xFFFFFFFF)
    c = [counters[:, i].astype(np.uint64) for i in range(4)]
    k = [key & 0xFFFFFFFF, key >> 32]
    for _ in range(10):
        p0 = c[0] * np.uint64(0xD2511F53)
        p1 = c[2] * np.uint64(0xCD9E8D57)
        c = [
            ((p1 >> np.uint64(32)) ^ c[1] ^ np.uint64(k[0])) & word,
            p1 & word,
            ((p0 >> np.uint64(32)) ^ c[3] ^ np.uint64(k[1])) & word,
            p0 & word,
        ]
        k = [(k[0] + 0x9E3779B9) % 2**32, (k[1] + 0xBB67AE85) % 2**32]
    return np.stack(c, axis=1)


def purpose_key(seed, purpose):
    block = philox(np.array([[purpose, 0, 0, 0]], dtype=np.uint64), seed)[0]
    return int(block[0]) | int(block[1]) << 32


def quantise(gradient, exponent, seed, step, lane, tensor):
    key = (purpose_key(seed, 6) + (step >> 32) * 0x9E3779B97F4A7C15) % 2**64
    blocks = (len(gradient) + 7) // 8
    counters = np.zeros((blocks, 4), dtype=np.uint64)
    counters[:, 0] = np.arange(blocks)
    counters[:, 1:] = [tensor, lane, step % 2**32]
    # Eight numbers of 16 bits a block, the lower half of a word first.
    words = philox(counters, key).reshape(-1)
    halves = np.stack([words & np.uint64(0xFFFF), words >> np.uint64(16)], axis=1).reshape(-1)[: len(gradient)]
    noise = ((2 * halves.astype(np.int64) + 1) * 2.0**-17).astype(np.float32)
    scaled = (gradient.astype(np.float64) * 2.0**-exponent).astype(np.float32)
    whole = np.floor(scaled)
    return whole + (scaled - whole + noise >= 1)


def main():
    generator = np.random.default_rng(20191208)
    lanes = 5
    cases = []
    for seed, step in [(0, 0), (7, 3), (2**63 + 5, 2**33 + 11)]:
        tensors = []
        for tensor, count in enumerate([1, 3, 4, 31, 32, 33, 0, 130]):
            exponent = int(generator.integers(-30, -5))
            spread = 2.0 ** (exponent + float(generator.integers(0, 14)))
            gradients = generator.standard_normal((lanes, count)).astype(np.float32) * np.float32(spread)
            total = [0] * count
            for lane in range(lanes):
                rounded = quantise(gradients[lane], exponent, seed, step, lane, tensor)
                total = [a + int(b) for a, b in zip(total, rounded)]
            tensors.append(
                {
                    "exponent": exponent,
                    "gradients": [[int(b) for b in row.view(np.uint32)] for row in gradients],
                    "sums": total,
                }
            )
        cases.append({"seed": seed, "step": step, "tensors": tensors})
    print(json.dumps({"lanes": lanes, "cases": cases}, separators=(",", ":")))


main()
