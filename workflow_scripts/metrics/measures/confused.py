"""The share of answers in another language than the prompt's."""

from workflow_scripts.metrics.measures._base import Measure


def _confused(spoken: str | None, language: str) -> float | None:
    return None if spoken is None else float(spoken != language)


MEASURE = Measure("wrong language, %", number=(("spoken", "language"), _confused), better=-1, bounded=False)
