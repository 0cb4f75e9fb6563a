"""Checks that several sections need."""

from pathlib import Path

from workflow_scripts.experiment.config_errors import Errors
from workflow_scripts.experiment.model import Model
from workflow_scripts.llm.prompts import PROMPTS


def languages(at: str, chosen: list[str] | None, known: list[str], errors: Errors) -> None:
    """Whether languages are among those that there are."""
    for language in chosen or []:
        errors.known(f"{at}.languages", language, "languages", known, "language")


def pinned(at: str, place: str, revision: str | None, errors: Errors) -> None:
    """Whether what is no folder, and so on the hub, is pinned to a commit."""
    if revision is None and not Path(place).is_dir():
        what = f"no folder '{place}', and a hub id needs a commit"
        errors.add(f"{at}.revision", f"{what}; fix the path, or pin the commit here")


def prompt(at: str, name: str, errors: Errors) -> None:
    """Whether there is a prompt of a name."""
    if not (PROMPTS / f"{name}.txt").is_file():
        errors.add(at, f"no file llm/prompt_files/{name}.txt; add it")


def evaluated(at: str, name: str, models: dict[str, Model], errors: Errors) -> None:
    """Whether a model is in the table and answers suites."""
    if errors.known(at, name, "models", models, "model") and not models[name].row.evaluate:
        errors.add(at, f"'{name}' answers no suite; set its `evaluate` to true, or name another model")
