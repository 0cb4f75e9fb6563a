"""mixmerge as a module of another workflow: its rules run there, alone in results/, and nothing costly unasked."""

import time
from pathlib import Path

import pytest

from bench.stale.patches.code import version
from bench.stale.run import Run

SNAKEFILE = """
configfile: "config.yaml"

module mixmerge:
    snakefile: "{code}/Snakefile"
    config: config

use rule * from mixmerge as mm_*

rule rows:
    default_target: True
    input:
        "results/nano/data/mixtures/mix.parquet", "results/nano/data/suites/redteam.parquet",

rule slow:
    input:
        rules.rows.input,
    output:
        "slow.txt",
    shell:
        "sleep 60; touch {{output}}"
"""


def as_module(run: Run) -> Run:
    """Another workflow around the experiment, in its folder."""
    place = run.folder / "other"
    place.mkdir()
    (place / "Snakefile").write_text(SNAKEFILE.format(code=run.code))
    return Run(run.folder, place, run.config, run.environment)


@pytest.fixture
def other(finished_nano: Run, tmp_path: Path) -> Run:
    """A workflow with nothing made yet."""
    (tmp_path / "run").mkdir()
    return as_module(Run(tmp_path / "run", finished_nano.code, dict(finished_nano.config)))


def test_its_rules_run_with_a_prefix(other: Run) -> None:
    outcome = other.snakemake()
    assert outcome.status == 0, outcome.output
    assert outcome.jobs == {"mm_source": 3, "mm_mixture": 1, "mm_suite": 1, "rows": 1}
    assert "Nothing to be done" in other.snakemake("-n").output


def test_a_second_run_is_refused_while_the_first_is_alive(other: Run) -> None:
    first = other.start(other.folder / "first.meter", "slow.txt")
    try:
        while not (other.folder / "results/.lock").exists() and first.poll() is None:
            time.sleep(0.05)
        second = other.snakemake("rows")
    finally:
        first.kill()
        first.communicate()
    assert second.status == 1 and "another run is at work" in second.output
    assert "Traceback" not in second.output and not second.jobs


def test_it_asks_before_finished_work_is_redone_for_a_version(nano: Run) -> None:
    nano.config["machine"] = {"ask_above": {"gpu_hours": 0, "cpu_hours": 0, "usd": 0}}
    version("trl", "99.0")(nano)
    asked = as_module(nano).snakemake("mm_all")
    assert asked.status == 1 and "make keep" in asked.output and "trl" in asked.output
    assert "Traceback" not in asked.output and not asked.jobs
