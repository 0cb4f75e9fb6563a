"""Which loaded models are adapters, and of which models of the table."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from workflow_scripts.base.errors import UserError
from workflow_scripts.config.models import Load
from workflow_scripts.experiment.model import Model
from workflow_scripts.models import contents


def with_bases(models: Mapping[str, Model]) -> dict[str, Model]:
    """The table in which adapters have as parents the rows that are their bases: named, or loading what they name."""
    return {name: _with_base(model, models) for name, model in models.items()}


def _with_base(model: Model, models: Mapping[str, Model]) -> Model:
    row = model.row
    if not isinstance(row, Load):
        return model
    if row.base is not None:
        return replace(model, parents=(row.base,))
    if not is_adapter(row):
        return model
    with suppress(UserError):
        named = contents.base_of(Path(row.load))
        loading = [other.name for other in models.values() if other is not model and _loads(other, named)]
        if len(loading) == 1:
            return replace(model, parents=(loading[0],))
    return model


def _loads(model: Model, named: str) -> bool:
    """Whether a row loads what an adapter names as its base: the same hub id, or the same folder."""
    if not isinstance(model.row, Load):
        return False
    given = model.row.load
    return given == named or (Path(named).is_dir() and Path(given).resolve() == Path(named).resolve())


def is_adapter(row: Load) -> bool:
    """Whether a row loads an adapter; one that is fetched from the hub says so by its base."""
    if row.base is not None:
        return True
    try:
        return contents.is_adapter(Path(row.load))
    except UserError:
        return False


def root_folder(row: Load) -> Path:
    """The folder whose config.json describes what a row without parents loads.

    Raises:
        UserError: an adapter names no base that is there.
    """
    return contents.base_folder(Path(row.load)) if is_adapter(row) else Path(row.load)
