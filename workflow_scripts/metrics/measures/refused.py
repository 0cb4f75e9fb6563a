"""The share of refusals of harmful prompts."""

from workflow_scripts.metrics.measures._base import Measure
from workflow_scripts.metrics.measures._values import share

MEASURE = Measure("refused, %", "harm", share("refused"), bounded=False)
