"""Counts work where it happens: optimizer steps, merged tensors, generated rows, judge requests.

Tests and benchmarks set MIXMERGE_METER to a file; every unit of work appends one line there.  Without the variable
nothing is written, so the counts never depend on a cache, a manifest or Snakemake's list of jobs.
"""

import os
from collections import Counter
from pathlib import Path


def count(kind: str, amount: int = 1) -> None:
    """Append `amount` units of `kind` to the file named by MIXMERGE_METER, in one atomic write."""
    if path := os.environ.get("MIXMERGE_METER"):
        with open(path, "ab", buffering=0) as meter:
            meter.write(f"{kind} {amount}\n".encode())


def totals(path: Path) -> Counter[str]:
    """Sum the counts in a meter file by kind; an absent file counts nothing."""
    counts: Counter[str] = Counter()
    for line in path.read_text().splitlines() if path.exists() else []:
        kind, amount = line.split()
        counts[kind] += int(amount)
    return counts
