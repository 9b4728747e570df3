"""Random generators by purpose, and the order of the samples in an epoch, which the seed and the epoch determine."""

from __future__ import annotations

from hashlib import blake2b

import numpy as np


def generator(seed: int, *keys: str | int) -> np.random.Generator:
    """A Philox generator for one purpose: the same for the same seed and keys on every machine."""
    digest = blake2b(repr((seed, *keys)).encode(), digest_size=16).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest, "little")))


def sample_order(seed: int, epoch: int, count: int) -> np.ndarray:
    """The order of the samples in an epoch."""
    return generator(seed, "order", epoch).permutation(count)


def block_order(seed: int, epoch: int, starts: np.ndarray, buffer_samples: int) -> np.ndarray:
    """The order of the samples in an epoch where samples lie in blocks that are read as a whole.

    The blocks are shuffled; then the samples of consecutive blocks, of at least `buffer_samples` samples together, are
    shuffled among one another. `starts` are the first samples of the blocks, and the number of all samples.
    """
    blocks = generator(seed, "block order", epoch).permutation(len(starts) - 1)
    buffers: list[np.ndarray] = []
    in_buffer: list[np.ndarray] = []
    for position, block in enumerate(blocks.tolist(), 1):
        in_buffer.append(np.arange(starts[block], starts[block + 1]))
        if sum(map(len, in_buffer)) >= buffer_samples or position == len(blocks):
            rng = generator(seed, "buffer order", epoch, len(buffers))
            buffers.append(rng.permutation(np.concatenate(in_buffer)))
            in_buffer = []
    return np.concatenate(buffers) if buffers else np.empty(0, np.int64)
