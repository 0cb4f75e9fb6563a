"""The win rate as it would be if answers were as long as the baseline's."""

from workflow_scripts.metrics.measures._base import Measure
from workflow_scripts.metrics.measures._values import WINS

MEASURE = Measure(
    "length-controlled win rate, %", "preference", WINS, axis="wins + half of ties, %", better=+1, controlled=True
)
