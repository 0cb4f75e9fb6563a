"""A share of yes-or-no judgments, with an interval that holds also where judgments go together."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from workflow_scripts.statistics.outcomes import numbered


@dataclass(frozen=True)
class Estimate:
    """A share or coefficient with its interval, and over how many judgments; a reason where it is not defined."""

    value: float | None
    low: float | None
    high: float | None
    n: int
    why: str = ""

    def covers(self, truth: float) -> bool:
        """Whether the interval holds a value."""
        return self.low is not None and self.high is not None and self.low - 1e-9 <= truth <= self.high + 1e-9


def proportion(hits: int, n: int, level: float = 0.95, design: float = 1.0) -> Estimate:
    """A share of yes-or-no judgments with its exact interval.

    Args:
        hits: how many are yes.
        n: how many there are.
        level: coverage wanted.
        design: how many times the variance is that of independent judgments; see `design_effect`.

    Source: Clopper & Pearson 1934, Biometrika 26, by statsmodels, which takes counts that are no whole numbers, as
    scipy does not; it covers at least as often as it says, also at 0 and at 1.  Judgments that go together count as
    fewer: Korn & Graubard 1998, Survey Methodology 24.

    >>> round(proportion(0, 10).high, 4), round(proportion(0, 20, design=2).high, 4)
    (0.3085, 0.3085)
    """
    if not n:
        return Estimate(None, None, None, 0, "nothing was judged")
    from statsmodels.stats.proportion import proportion_confint

    low, high = proportion_confint(hits / design, n / design, alpha=1 - level, method="beta")
    return Estimate(hits / n, low, high, n)


def design_effect(hits: Sequence[bool], clusters: Sequence[Any]) -> float:
    """How many times the variance of a share is that of independent judgments; 1 at least.

    Args:
        hits: (n,) judgments.
        clusters: (n,) the source prompt of each, whose judgments go together.

    Neither scipy nor statsmodels has it (statsmodels' errors robust to clusters are of regressions).
    Source: Kish 1965, section 5.4, with the variance of a ratio of cluster sums (Cochran 1977, section 11.8).

    >>> design_effect([True, True, False, False] * 5, [i // 2 for i in range(20)])
    2.2222222222222223
    """
    n, share = len(hits), sum(hits) / max(1, len(hits))
    if share in (0, 1):
        return 1.0
    at, c = numbered(clusters)
    residuals = np.bincount(at, hits) - share * np.bincount(at)
    variance = float(residuals @ residuals) * c / max(1, c - 1)
    return max(1.0, variance / (n * share * (1 - share)))
