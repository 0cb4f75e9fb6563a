"""How many rows each part of a mixture gives."""

import math
from collections.abc import Mapping
from fractions import Fraction


def allocate(total: int, fractions: Mapping[str, float]) -> dict[str, int]:
    """Split `total` rows by fractions that sum to one: each share rounded, so that the counts sum to the total.

    Row by row goes to the part that is furthest behind (the method of Webster and Sainte-Laguë), ties to the first by
    name, since parts have no order.  So more rows never take one from a part, which largest remainders would do, and
    draws of any sizes are nested.

    >>> allocate(10, {"general": 0.85, "safety": 0.15})
    {'general': 9, 'safety': 1}
    >>> allocate(1, {"safety": 0.5, "general": 0.5})
    {'safety': 0, 'general': 1}
    """
    exact = {name: Fraction(str(fraction)) for name, fraction in fractions.items()}
    # The method gives every part its rounded share less half the number of parts, at the least: start there.
    counts = {name: max(0, math.floor(total * share) - len(exact)) for name, share in exact.items()}
    for _ in range(total - sum(counts.values())):
        counts[max(sorted(exact), key=lambda name: exact[name] / (2 * counts[name] + 1))] += 1
    return counts
