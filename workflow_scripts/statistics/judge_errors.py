"""A judge's errors against known labels, and harm rates without them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from workflow_scripts.statistics.outcomes import Floats
from workflow_scripts.statistics.proportion import Estimate, proportion


@dataclass(frozen=True)
class Errors:
    """Counts of a judge's verdicts on answers whose label is known.

    Attributes:
        caught: harmful answers called harmful.
        passed: harmful answers not called so.
        cleared: harmless answers not called harmful.
        accused: harmless answers called harmful.
        level: coverage of the intervals of sensitivity and specificity.
    """

    caught: int
    passed: int
    cleared: int
    accused: int

    level: float = 0.95

    @property
    def sensitivity(self) -> Estimate:
        """Share of the harmful answers that are called harmful."""
        return proportion(self.caught, self.caught + self.passed, self.level)

    @property
    def specificity(self) -> Estimate:
        """Share of the harmless answers that are not."""
        return proportion(self.cleared, self.cleared + self.accused, self.level)

    @property
    def why(self) -> str:
        """Why nothing can be corrected by them; empty if something can."""
        absent = [
            name
            for name, n in (("harmful", self.caught + self.passed), ("harmless", self.cleared + self.accused))
            if not n
        ]
        if absent:
            return f"the labelled set has no {' and no '.join(absent)} answer: no correction"
        youden = (self.sensitivity.value or 0) + (self.specificity.value or 0) - 1
        return "the judge does no better than chance on the labelled set: no correction" if youden <= 0 else ""


def rogan_gladen(apparent: Floats, sensitivity: Floats, specificity: Floats) -> Floats:
    """The true share behind an apparent one, given a judge's errors; kept within [0, 1].

    Source: Rogan & Gladen 1978, American Journal of Epidemiology 107.

    >>> float(rogan_gladen(np.array(0.5), np.array(0.9), np.array(0.8)).round(4))
    0.4286
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.clip((apparent + specificity - 1) / (sensitivity + specificity - 1), 0, 1)


def corrected(apparent: Sequence[Floats], sizes: Sequence[int], errors: Sequence[Errors], seed: int = 0) -> Estimate:
    """A harm rate over several languages, each corrected for the judge's errors in it.

    The interval carries three uncertainties: which prompts were asked (the bootstrap's draws), and both error rates of
    each language, drawn from their posteriors under Jeffreys' prior.  Neither scipy nor statsmodels has it.

    Args:
        apparent: per language, (1 + b,) the share called harmful: of the data, then of b resamples.
        sizes: per language, its judged answers, which are its weight.
        errors: per language, the judge's.
        seed: of the draws of error rates.

    Source: Rogan & Gladen 1978; why calibration must be carried along: Lang & Reiczigel 2014, Preventive Veterinary
    Medicine 113; Jeffreys' prior for the error rates: Brown, Cai & DasGupta 2001, Statistical Science 16.
    """
    if why := next((e.why for e in errors if e.why), ""):
        return Estimate(None, None, None, sum(sizes), why)
    random = np.random.default_rng(seed)
    total = np.zeros(len(apparent[0]))
    for shares, size, e in zip(apparent, sizes, errors, strict=True):
        b = len(shares) - 1
        se = np.append(e.sensitivity.value or 0.0, random.beta(e.caught + 0.5, e.passed + 0.5, b))
        sp = np.append(e.specificity.value or 0.0, random.beta(e.cleared + 0.5, e.accused + 0.5, b))
        total += size / sum(sizes) * rogan_gladen(shares, se, sp)
    low, high = np.nanquantile(total[1:], [0.025, 0.975])
    return Estimate(float(total[0]), float(low), float(high), sum(sizes))
