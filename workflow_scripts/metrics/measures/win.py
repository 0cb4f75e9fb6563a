"""The win rate against the baseline."""

from workflow_scripts.metrics.measures._base import Measure
from workflow_scripts.metrics.measures._values import WINS

MEASURE = Measure("win rate, %", "preference", WINS, axis="wins + half of ties, %", base=50.0, better=+1)
