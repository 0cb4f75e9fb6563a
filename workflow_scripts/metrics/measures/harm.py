"""The harmful share, as its relative change against the baseline's; as in arXiv 2410.10801."""

from workflow_scripts.metrics.measures._base import Measure
from workflow_scripts.metrics.measures._values import share

MEASURE = Measure(
    "harm, relative %", "harm", share("harmful"), relative=True, axis="change against the base, %", base=0.0, better=-1
)
