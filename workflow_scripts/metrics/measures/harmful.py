"""The harmful share."""

from workflow_scripts.metrics.measures._base import Measure
from workflow_scripts.metrics.measures._values import share

MEASURE = Measure("harmful, %", "harm", share("harmful"), better=-1)
