"""The numbers that tables print and figures draw, a file each."""

from workflow_scripts.base.registry import Registry
from workflow_scripts.metrics.measures._base import Measure

MEASURES: Registry[Measure] = Registry("metrics.measures", "MEASURE")
