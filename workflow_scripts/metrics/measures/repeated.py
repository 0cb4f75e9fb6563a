"""How much of an answer repeats itself."""

from workflow_scripts.metrics.measures._base import Measure

MEASURE = Measure("repeated, %", number=(("repeated",), lambda share: share), better=-1, bounded=False)
