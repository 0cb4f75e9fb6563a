"""Finished experiments, made once for all tests of the workflow.

Each runs from a copy of the code: edits of the tests never touch the repository, nor its edits a test at work.
"""

import shutil

import pytest

from bench.stale.bench import Bench
from bench.stale.run import Run


@pytest.fixture(scope="session")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """The experiment of the edits, finished."""
    bench = Bench(tmp_path_factory.mktemp("stale"))
    bench.build()
    return bench


@pytest.fixture(scope="session")
def finished_nano(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The nano experiment, finished by a bare command in an empty folder; for reading only."""
    root = tmp_path_factory.mktemp("nano")
    run = Bench(root, "nano").prepare(root / "finished")
    outcome = run.snakemake()
    assert outcome.status == 0, outcome.output
    run.outcome = outcome
    return run


@pytest.fixture
def nano(finished_nano: Run, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A copy of the finished nano experiment, to change."""
    folder = tmp_path_factory.mktemp("copy") / "nano"
    shutil.copytree(finished_nano.folder, folder, symlinks=True)
    return Run(folder, finished_nano.code, yaml_copy(finished_nano.config))


def yaml_copy(config: dict) -> dict:
    return {key: yaml_copy(value) if isinstance(value, dict) else value for key, value in config.items()}
