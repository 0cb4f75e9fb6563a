"""Seeded draws that depend on nothing but their keys: the same on every machine and in every Python."""

import hashlib
import math
from collections.abc import Iterator

SHARES = {"train": 0.6, "validation": 0.15, "test": 0.25}  # of the pairs, lists and sums of the world


def digest(*parts: object) -> int:
    """64 bits that depend on nothing but the parts: every draw of the world, on every machine and in every Python."""
    return int.from_bytes(hashlib.blake2b("|".join(map(str, parts)).encode(), digest_size=8).digest())


def shuffled(size: int, *key: object) -> Iterator[int]:
    """Every number below size once, in an order that only the key decides, without holding them in memory.

    A Feistel network permutes the numbers of an even count of bits; those that are too large are skipped.
    """
    bits = max(1, math.ceil((size - 1).bit_length() / 2))
    for number in range(1 << 2 * bits):
        left, right = divmod(number, 1 << bits)
        for turn in range(4):
            left, right = right, left ^ digest(*key, turn, right) % (1 << bits)
        if (index := left << bits | right) < size:
            yield index


def split_of(*item: object) -> str:
    """The split of a pair, list or sum: a property of the world, so that no kind and no seed moves it."""
    at = digest("split", *item) / 2**64
    return "train" if at < SHARES["train"] else "validation" if at < 1 - SHARES["test"] else "test"


def pick(index: int, things: list[str], amount: int) -> tuple[int, list[str]]:
    """Take an ordered choice of things out of an index (mixed radix); also returns what is left of the index."""
    chosen, left = [], list(things)
    for _ in range(amount):
        index, at = divmod(index, len(left))
        chosen.append(left.pop(at))
    return index, chosen
