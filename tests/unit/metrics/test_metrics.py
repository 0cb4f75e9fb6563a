"""Metrics and measures fit together, and cost nothing to look up when the Snakefile is read."""

import subprocess
import sys

import pytest

from workflow_scripts.metrics import METRICS
from workflow_scripts.metrics.measures import MEASURES


def test_every_metric_of_a_suite_and_every_measure_is_found():
    assert list(METRICS) == ["benign", "harm", "labels", "preference"]
    assert [name for name in METRICS if METRICS[name].compares] == ["preference"]
    assert [name for name in METRICS if METRICS[name].labelled] == ["labels"]
    assert {"harm", "win", "direct", "declined"} < set(MEASURES)


@pytest.mark.parametrize("name", MEASURES)
def test_a_measure_counts_every_verdict_of_the_metric_it_reads_or_needs_none(name):
    measure = MEASURES[name]
    assert bool(measure.values) != bool(measure.number)
    if measure.metric is None:
        assert measure.number
    else:
        said = {said for question in METRICS[measure.metric].questions for said in question.verdicts.values()}
        assert set(measure.values) == said


def test_looking_metrics_up_imports_nothing_heavy():
    lines = (
        "import sys",
        "from workflow_scripts.metrics import METRICS",
        "from workflow_scripts.metrics.measures import MEASURES",
        "[*METRICS.values(), *MEASURES.values()]",
        "sys.exit('numpy' in sys.modules or 'pyarrow' in sys.modules)",
    )
    assert subprocess.run([sys.executable, "-c", "\n".join(lines)]).returncode == 0
