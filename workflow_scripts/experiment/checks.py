"""Checks that several sections need."""

from pathlib import Path
from typing import TypeVar

from workflow_scripts.base import beside
from workflow_scripts.base.errors import UserError
from workflow_scripts.base.registry import Registry
from workflow_scripts.experiment.config_errors import Errors
from workflow_scripts.experiment.model import Model
from workflow_scripts.llm import prompts

Row = TypeVar("Row")


def languages(at: str, chosen: list[str] | None, known: list[str], errors: Errors) -> None:
    """Whether languages are among those that there are."""
    for language in chosen or []:
        errors.known(f"{at}.languages", language, "languages", known, "language")


def pinned(at: str, place: str, revision: str | None, errors: Errors) -> None:
    """Whether what is no folder, and so on the hub, is pinned to a commit."""
    if revision is None and not Path(place).is_dir():
        what = f"no folder '{place}', and a hub id needs a commit"
        errors.add(f"{at}.revision", f"{what}; fix the path, or pin the commit here")


def row(at: str, name: str, rows: Registry[Row], what: str, errors: Errors) -> Row | None:
    """The row of a registry to which users add beside their config; None where it is not there or not usable."""
    try:
        if errors.known(at, name, "", rows, what, beside=f"{beside.KINDS[rows.place]}/{name}.py"):
            return rows[name]
    except UserError as error:
        errors.add(at, str(error))
    return None


def prompt(at: str, name: str, holds: prompts.Holds, errors: Errors) -> None:
    """Whether there is a prompt of a name, and whether it holds what it must."""
    if errors.known(at, name, "", prompts.names(), "prompt", beside=f"{prompts.KIND}/{name}.txt"):
        try:
            prompts.check(prompts.template(name), holds)
        except UserError as error:
            errors.add(at, f"{name}: {error}")


def evaluated(at: str, name: str, models: dict[str, Model], errors: Errors) -> None:
    """Whether a model is in the table and answers suites."""
    if errors.known(at, name, "models", models, "model") and not models[name].row.evaluate:
        errors.add(at, f"'{name}' answers no suite; set its `evaluate` to true, or name another model")
