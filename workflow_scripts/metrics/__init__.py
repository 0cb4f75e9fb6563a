"""What is asked about the answers to a suite, a file per metric; `measures` are the numbers that come of it.

A suite of the config names its metric, as `metric: harm`.  A metric says what a judge is asked about each answer, and
what its verdicts say.  A measure says which suites it reads, what their verdicts count for, and which way is better;
tables and figures name measures, as `metrics: [harmful, refused]`.  A new one of either kind is a new file.
"""

from workflow_scripts.base.registry import Registry
from workflow_scripts.metrics._base import Metric

METRICS: Registry[Metric] = Registry("metrics", "METRIC")
