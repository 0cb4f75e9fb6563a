"""What tables and figures may name exists."""

from workflow_scripts.config.paper import METRICS
from workflow_scripts.statistics import panel


def test_metrics_are_those_of_the_statistics():
    assert {name: metric.kind or None for name, metric in panel.METRICS.items()} == METRICS
