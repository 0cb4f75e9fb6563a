"""Checks of models and of contrasts between them: what they name, and whether models can be merged."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from workflow_scripts.base.errors import UserError
from workflow_scripts.config.experiment import Config
from workflow_scripts.config.merging import Merging
from workflow_scripts.config.models import Init, Load, Merge, Train
from workflow_scripts.config.section import Section
from workflow_scripts.experiment import adapted, checks
from workflow_scripts.experiment.config_errors import Errors
from workflow_scripts.experiment.grid import is_pattern
from workflow_scripts.experiment.model import Model, ancestry
from workflow_scripts.merge import settings as merge_settings
from workflow_scripts.merge.methods import METHODS
from workflow_scripts.models import architecture, contents, directory, shape

# Kinds of rows -> the key that names what they are made from.
PARENTS: dict[type[Section], str] = {Train: "parent", Load: "base"}


def check(config: Config, models: dict[str, Model], errors: Errors) -> None:
    """Check every model and contrast: what it names, and whether a merge's parents go together."""
    for name, model in models.items():
        at = f"models.{name}"
        key = f"{at}.{PARENTS.get(type(model.row), 'parents')}"
        for parent in model.parents:
            errors.known(key, parent, "models", models, "model")
        match model.row:
            case Init():
                errors.known(f"{at}.init", model.row.init, "architectures", config.architectures, "architecture")
                errors.known(f"{at}.tokenizer", model.row.tokenizer, "mixtures", config.mixtures, "mixture")
            case Load():
                _check_load(at, model, errors)
            case Train():
                _check_training(at, model.row, config, errors)
            case Merge():
                _check_merge(at, model, models, errors)
    if errors.complete("baseline"):
        errors.known("baseline", config.baseline, "models", models, "model")
    if config.baseline in models and not models[config.baseline].row.evaluate:
        errors.add(f"models.{config.baseline}.evaluate", "is false, but it is the baseline; let it answer the suites")
    for name, contrast in config.contrasts.items():
        checks.evaluated(f"contrasts.{name}.mix", contrast.mix, models, errors)
        checks.evaluated(f"contrasts.{name}.merge", contrast.merge, models, errors)
    cycles = list(_cycles(models))
    for cycle in cycles:
        errors.add(f"models.{cycle[0]}", f"is its own ancestor ({' <- '.join([*cycle, cycle[0]])}); break the cycle")
    if not cycles:
        _check_architectures(config, models, errors)


def _check_load(at: str, model: Model, errors: Errors) -> None:
    row = model.row
    assert isinstance(row, Load)
    folder = Path(row.load)
    if row.architecture is not None and not shape.is_known(row.architecture):
        absent = ", ".join(sorted(architecture.SHAPE - row.architecture.keys())) or "sizes"
        errors.add(f"{at}.architecture", f"has no {absent}; copy them from the model's config.json")
    if folder.is_dir():
        try:
            if not adapted.is_adapter(row):
                contents.of_model(folder, row.trust_remote_code)
            elif contents.of_adapter(folder) and not model.parents:
                contents.of_model(contents.base_folder(folder), consent=False)
        except UserError as error:
            errors.add(f"{at}.load", str(error))
    else:
        checks.pinned(at, row.load, row.revision, errors)


def _check_training(at: str, row: Train, config: Config, errors: Errors) -> None:
    if not errors.known(f"{at}.mixture", row.mixture, "mixtures", config.mixtures, "mixture"):
        return
    mixture = config.mixtures[row.mixture]
    checks.languages(at, row.languages, mixture.languages or config.languages, errors)
    for part in row.parts or []:
        errors.known(f"{at}.parts", part, "sources", mixture.parts, "part")
    if row.per_language and row.per_language > mixture.per_language:
        errors.add(f"{at}.per_language", f"{row.per_language} of {mixture.per_language} rows; take at most as many")


def _check_merge(at: str, model: Model, models: dict[str, Model], errors: Errors) -> None:
    assert isinstance(model.row, Merge)
    if model.base is not None:
        errors.known(f"merging.{model.row.merge}.base", model.base, "models", models, "model")
    if any(map(is_pattern, model.row.parents)) and (not model.parents or not errors.complete("models")):
        return  # how many parents there are is not known
    if model.base is not None and model.base in model.parents:
        errors.add(f"{at}.parents", f"name the base '{model.base}', whose task vector is zero; leave it out")
    if isinstance(settings := model.settings, Merging):
        if settings.tokenizer_from is not None and settings.tokenizer_from not in model.needs:
            errors.add(
                f"{at}.tokenizer_from", f"'{settings.tokenizer_from}' is no parent and no base; name one of them"
            )
        found = merge_settings.mistakes(settings, METHODS[settings.method], len(model.parents), model.base is not None)
        for key, what in found:
            what = what.replace("set it", f"set merging.{model.row.merge}.base") if key == "base" else what
            errors.add(f"{at}.merge" if key == "base" else f"{at}.{key}", what)


def _cycles(models: dict[str, Model]) -> Iterator[list[str]]:
    """Cycles of models that need one another, each once, from a model to what it is made from."""
    found: set[str] = set()
    for name in models:
        if name not in found and (cycle := _way_back(name, models)):
            found |= set(cycle)
            yield cycle


def _way_back(name: str, models: dict[str, Model]) -> list[str]:
    """The shortest way from a model, by what each is made from, to itself; empty where there is none."""
    ways = {name: [name]}
    pending = [name]
    for current in pending:
        for need in models[current].needs if current in models else ():
            if need == name:
                return ways[current]
            if need not in ways:
                ways[need] = [*ways[current], need]
                pending.append(need)
    return []


def _check_architectures(config: Config, models: dict[str, Model], errors: Errors) -> None:
    """A merge averages weights position by position: all that go into it must descend from models of one shape."""
    for name, model in models.items():
        if not isinstance(model.row, Merge):
            continue
        roots = [root for root in ancestry(name, models) if root in models and not models[root].needs]
        shapes = {root: shape for root in roots if (shape := _shape(models[root], config))}
        if len(shapes) > 1 and (why := architecture.check_compatible(list(shapes.values()), architecture.SURE)):
            what = f"of different architectures ({', '.join(shapes)}: {why})"
            errors.add(f"models.{name}.parents", f"{what}; merge models of one architecture")


def _shape(model: Model, config: Config) -> dict[str, Any] | None:
    """The architecture of a root, where it is known before anything is fetched."""
    if isinstance(model.row, Init) and (given := config.architectures.get(model.row.init)):
        return {"model_type": "cohere", **given.model_dump(), "tokenizer": model.row.tokenizer}
    if isinstance(model.row, Load):
        try:
            return directory.read_config(adapted.root_folder(model.row))
        except UserError:
            return model.row.architecture  # on the hub, or noted already
    return None
