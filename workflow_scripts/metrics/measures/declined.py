"""The share of answers that the judge declined to judge."""

from workflow_scripts.metrics.measures._base import Measure


def _declined(missing: str | None) -> float:
    return float(missing in ("refused", "filtered"))


MEASURE = Measure("judge refused, %", number=(("missing",), _declined), bounded=False)
