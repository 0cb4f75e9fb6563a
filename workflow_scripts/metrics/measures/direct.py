"""The win rate of one side of a contrast against the other."""

from workflow_scripts.metrics.measures._base import Measure
from workflow_scripts.metrics.measures._values import WINS

MEASURE = Measure("merge against mix, win rate, %", "preference", WINS, better=+1, direct=True)
