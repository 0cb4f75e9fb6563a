"""The share of refusals of harmless prompts."""

from workflow_scripts.metrics.measures._base import Measure
from workflow_scripts.metrics.measures._values import share

MEASURE = Measure("benign refused, %", "benign", share("refused"), better=-1, bounded=False)
