"""The table of models expanded: grids to rows, patterns to names, overrides to settings."""

import fnmatch
import itertools
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import TypeAdapter

from workflow_scripts.base.errors import UserError
from workflow_scripts.config.experiment import Config
from workflow_scripts.config.merging import Merging, section
from workflow_scripts.config.models import KINDS, PLACEHOLDER, Merge, Train
from workflow_scripts.config.section import NAME
from workflow_scripts.config.training import Training
from workflow_scripts.experiment import adapted
from workflow_scripts.experiment.config_errors import Errors, in_quotes, typed
from workflow_scripts.experiment.model import Model
from workflow_scripts.merge.methods import KIND, METHODS
from workflow_scripts.merge.settings import as_mergekit_spells

Named = Mapping[str, Mapping[str, Any]]  # section -> its entries


def expand(config: Config, errors: Errors) -> dict[str, Model]:
    """Grids to rows, patterns to names, overrides to settings."""
    rows: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {}
    for pattern, row in config.models.items():
        for point in _points(row.for_):
            at = f"models.{pattern}"
            try:
                name = _fill_text(pattern, point)
                written = _fill(row.model_extra, point), _fill(row.with_, point)
            except KeyError as missing:
                errors.add(at, f"'{{{missing.args[0]}}}' is not in its `for`; add it there")
                errors.set_aside("models", pattern)
                continue
            except TypeError as no_text:
                errors.add(f"{at}.for", str(no_text))
                errors.set_aside("models", pattern)
                continue
            if not re.fullmatch(NAME, name):
                errors.add(at, f"makes '{name}'; names are of letters, digits and . _ + - alone")
                errors.set_aside("models", pattern)
            elif name in rows:
                errors.add(at, f"makes '{name}' again; give every model its own name")
            else:
                rows[name] = written
    named: Named = {"training": config.training, "merging": _merging(config, errors)}
    models = {name: _model(name, *written, named, list(rows), errors) for name, written in rows.items()}
    return adapted.with_bases({name: model for name, model in models.items() if model})


def _merging(config: Config, errors: Errors) -> dict[str, Merging]:
    """The entries of `merging` as their methods take them."""
    found = {name: of_method(row.model_dump(), f"merging.{name}", errors) for name, row in config.merging.items()}
    for name, settings in found.items():
        if settings is None:
            errors.set_aside("merging", name)
    return {name: settings for name, settings in found.items() if settings}


def _points(grid: Any) -> list[dict[str, Any]]:
    if grid is None:
        return [{}]
    if isinstance(grid, list):
        return grid
    return [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]


def _fill_text(text: str, point: dict[str, Any]) -> str:
    """Put a grid point into text.

    Raises:
        KeyError: the point has no value for a placeholder.
        TypeError: the value is a boolean, which nobody means as text.
    """

    def written(found: re.Match[str]) -> str:
        value = point[found[1]]
        if isinstance(value, bool):
            raise TypeError(f"{json.dumps(value)} of '{found[1]}' stands in text; {in_quotes(value)}")
        return str(value)

    return PLACEHOLDER.sub(written, text)


def _fill(value: Any, point: dict[str, Any]) -> Any:
    """Put a grid point into a value: '{x}' alone keeps the type of x, within a string it becomes text."""
    if isinstance(value, str):
        if alone := PLACEHOLDER.fullmatch(value):
            return point[alone[1]]
        return _fill_text(value, point)
    if isinstance(value, dict):
        return {key: _fill(item, point) for key, item in value.items()}
    if isinstance(value, list):
        return [_fill(item, point) for item in value]
    return value


def _model(
    name: str,
    fields: dict[str, Any],
    overrides: dict[str, Any],
    named: Named,
    names: list[str],
    errors: Errors,
) -> Model | None:
    at = f"models.{name}"
    (kind,) = [kind for kind in KINDS if kind in fields]
    row = typed(TypeAdapter(KINDS[kind]), fields, at, errors)
    if row is None:
        errors.set_aside("models", name)
        return None
    if isinstance(row, Train):
        settings = _settings(at, "training", row.train, _training, overrides, named, errors)
        return Model(name, row, settings, (row.parent,))
    if isinstance(row, Merge):
        settings = _settings(at, "merging", row.merge, of_method, overrides, named, errors)
        parents = itertools.chain.from_iterable(_matches(p, name, names, at, errors) for p in row.parents)
        return Model(name, row, settings, tuple(parents))
    if overrides:
        errors.add(f"{at}.with", "only train and merge have settings; remove it")
    return Model(name, row, None, ())


def _settings(
    at: str,
    section_name: str,
    which: str,
    of_type: Callable[[dict[str, Any], str, Errors], Any],
    overrides: dict[str, Any],
    named: Named,
    errors: Errors,
) -> Any:
    """The named settings with a row's overrides."""
    key = "train" if section_name == "training" else "merge"
    if not errors.known(f"{at}.{key}", which, section_name, named[section_name], section_name):
        return None
    merged = named[section_name][which].model_dump(by_alias=True, exclude_unset=True) | overrides
    return of_type(merged, f"{at}.with", errors)


def _training(raw: dict[str, Any], at: str, errors: Errors) -> Training | None:
    settings: Training | None = typed(TypeAdapter(Training), raw, at, errors)
    return settings


def of_method(raw: dict[str, Any], at: str, errors: Errors) -> Merging | None:
    """Settings of a merge, as the method that they name takes them."""
    try:
        name = str(raw["method"])
        if not errors.known(f"{at}.method", name, "", METHODS, "method", beside=f"{KIND}/{name}.py"):
            return None
        if spelled := as_mergekit_spells(raw, METHODS[name]):
            for key, what in spelled:
                errors.add(f"{at}.{key}", what)
            return None
        settings: Merging | None = typed(TypeAdapter(section(METHODS[raw["method"]])), raw, at, errors)
    except UserError as error:  # a user's file of the method
        errors.add(f"{at}.method", str(error))
        return None
    return settings


def _matches(pattern: str, name: str, names: list[str], at: str, errors: Errors) -> list[str]:
    """The models that a merge means by a parent: a name, or all others that a pattern matches."""
    if not is_pattern(pattern):
        return [pattern]
    found = [other for other in names if other != name and fnmatch.fnmatchcase(other, pattern)]
    if not found and errors.complete("models"):
        errors.add(f"{at}.parents", f"no model matches '{pattern}'; fix it or name the models")
    return found


def is_pattern(parent: str) -> bool:
    """Whether a parent stands for all models that it matches."""
    return bool(set(parent) & set("*?["))
