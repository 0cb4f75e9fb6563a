"""What every measure says of itself."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Measure:
    """How verdicts become a rate, and a rate becomes the number in a cell.

    Attributes:
        label: what a column or an axis is called, with its unit.
        metric: of the suites whose scores it reads; None for all suites.
        values: what each verdict counts for.
        number: columns of a row, and the number they come to (None if they say nothing), where no verdict is needed.
        relative: report 100 * (rate - baseline's) / baseline's instead of 100 * rate.
        axis: what a figure's axis is called.
        base: the baseline's own cell, where bars start; None where it has no fixed one.
        better: +1 where more is better, -1 where less is, 0 where neither is.
        bounded: whether a rate near 0 or 1 means that the cell is saturated.
        scale: what a mean of 1 is printed as.
        controlled: a rate at equal lengths, by `length_control`.
        direct: compared with the reference itself, not with the baseline.
    """

    label: str
    metric: str | None = None
    values: Mapping[str, float] = field(default_factory=dict)
    number: tuple[tuple[str, ...], Callable[..., float | None]] | None = None
    relative: bool = False
    axis: str = "% of answers"
    base: float | None = None
    better: int = 0
    bounded: bool = True
    scale: float = 100.0
    controlled: bool = False
    direct: bool = False

    def cell(self, model: "Floats", *baseline: "Floats") -> "Floats":
        """The number in a cell, from rates in [0, 1] of any common shape; the baseline's only if it is relative."""
        return 100 * (model - baseline[0]) / baseline[0] if self.relative else self.scale * model

    def difference(self, model: "Floats", reference: "Floats", *baseline: "Floats") -> "Floats":
        """Cell of the model less cell of the reference, turned so that positive is better (where one side is)."""
        return self.scale * (self.better or 1) * (model - reference) / (baseline[0] if self.relative else 1.0)
