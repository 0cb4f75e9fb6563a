"""The command line that all commands about an experiment share."""

import argparse
from pathlib import Path

from workflow_scripts.base import beside
from workflow_scripts.config import reading
from workflow_scripts.experiment import kept, table_of_models
from workflow_scripts.experiment.artifacts import Artifacts
from workflow_scripts.experiment.table_of_models import Experiment


def parser(name: str, description: str | None) -> argparse.ArgumentParser:
    """A command line with the experiment's file."""
    made = argparse.ArgumentParser(prog=name, description=description)
    made.add_argument("--config", type=Path, required=True, help="the experiment's file")
    return made


def experiment(name: str, description: str | None, arguments: list[str]) -> Artifacts:
    """The experiment that a command line without other options names.

    Raises:
        UserError: the file cannot be read, or a line for everything that is wrong in it.
    """
    return read(parser(name, description).parse_args(arguments).config)


def read(config: Path) -> Artifacts:
    """The artifacts of an experiment's file."""
    return kept.with_kept(load(config))


def load(config: Path) -> Experiment:
    """The experiment of a file, with what lies beside it."""
    beside.use([config])
    return table_of_models.load(reading.read(config))
