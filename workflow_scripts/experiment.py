"""From the file as written to the experiment: grids expanded, everything that spans sections checked, all at once."""

import difflib
import fnmatch
import itertools
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError

from workflow_scripts import matching, merge_methods
from workflow_scripts.architecture import check_compatible
from workflow_scripts.config import KINDS, Config, Init, Load, Merge, MergeMethod, Merging, Train, Training
from workflow_scripts.errors import UserError

PROMPTS = Path(__file__).parent / "judge_prompts"
PUBLISHED = Path(__file__).parent.parent / "published"
TAGGED = {"sources", "merging"}  # sections whose error locations carry the name of a type


class ConfigError(UserError):
    """All that is wrong with an experiment file, a line each."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines


@dataclass(frozen=True)
class Model:
    """A row of the expanded table of models."""

    name: str
    row: Load | Init | Train | Merge
    settings: Training | MergeMethod | None  # what `train` or `merge` names, with the row's overrides
    parents: tuple[str, ...]  # in the order that the method sees

    @property
    def base(self) -> str | None:
        """The model from which task vectors are measured, where the method needs one."""
        return getattr(self.settings, "base", None)

    @property
    def needs(self) -> tuple[str, ...]:
        """Every model that must exist first."""
        return self.parents + ((self.base,) if self.base else ())


@dataclass(frozen=True)
class Experiment:
    """A valid experiment; made by `load`."""

    config: Config
    models: dict[str, Model]

    @cached_property
    def evaluated(self) -> list[str]:
        """Names of the models that answer the suites."""
        return [name for name, model in self.models.items() if model.row.evaluate]

    def temporary(self, name: str) -> bool:
        """Whether the weights go once the model has answered: a merge that is nobody's parent, if the config says so."""
        is_needed = any(name in other.needs for other in self.models.values())
        return isinstance(self.models[name].row, Merge) and not self.config.keep_merges and not is_needed

    def ancestry(self, name: str) -> list[str]:
        """The model and all it was made from, each once."""
        seen = {name: None}
        for parent in self.models[name].needs:
            seen |= dict.fromkeys(self.ancestry(parent))
        return list(seen)

    def learned(self, name: str) -> matching.Learned:
        """What a model learned from after the baseline."""
        before = set(self.ancestry(self.config.baseline))
        trained = [self.models[m] for m in self.ancestry(name) if m not in before]
        return matching.together([self._training(model) for model in trained if isinstance(model.row, Train)])

    def _training(self, model: Model) -> matching.Learned:
        assert isinstance(model.row, Train) and isinstance(model.settings, Training)
        mixture = self.config.mixtures[model.row.mixture]
        languages = list(mixture.languages or self.config.languages)
        return matching.training(matching.draws(mixture, model.row, languages), model.settings)


def load(raw: dict[str, Any]) -> Experiment:
    """Check and expand an experiment.

    Raises:
        ConfigError: with a line for every mistake: the key, what is wrong, what to do.
    """
    config, errors, broken = _parse(raw)
    if config is None:
        raise ConfigError(errors)
    errors += _check_data(config, broken)
    models, model_errors = _expand(config, broken)
    errors += model_errors
    experiment = Experiment(config, models)
    errors += _check_models(experiment, broken)
    errors += _check_items(experiment, broken)
    if not errors:
        errors += _check_contrasts(experiment)
    if errors:
        raise ConfigError(errors)
    return experiment


# Parsing


def _parse(raw: dict[str, Any]) -> tuple[Config | None, list[str], set[str]]:
    """Validate types; entries with a mistake are set aside so that the rest can still be checked."""
    raw = json.loads(json.dumps(raw))
    errors: list[str] = []
    broken: set[str] = set()
    for _ in range(1000):
        try:
            return Config.model_validate(raw), errors, broken
        except ValidationError as mistakes:
            first = mistakes.errors()
            errors += dict.fromkeys(_line(mistake) for mistake in first)
            if not _set_aside(raw, [tuple(m["loc"]) for m in first], [m["type"] for m in first], broken):
                return None, errors, broken
    raise AssertionError("unreachable: every pass removes a key")


def _set_aside(raw: dict[str, Any], places: list[tuple[Any, ...]], kinds: list[str], broken: set[str]) -> bool:
    """Remove what is wrong: an unknown key alone, another mistake with its whole entry; False where that is impossible."""
    for place, kind in zip(places, kinds, strict=True):
        path = _keys(place)
        if kind != "extra_forbidden":
            if len(path) < 2 or not isinstance(raw.get(path[0]), dict):
                return False
            path = path[:2]
            broken.add(str(path[1]))
        *parents, last = path
        section: Any = raw
        for key in parents:
            section = section.get(key, {}) if isinstance(section, dict) else {}
        if isinstance(section, dict):
            section.pop(last, None)
    return True


def _keys(place: tuple[Any, ...]) -> tuple[Any, ...]:
    """The keys of the file in an error's location, without the names of types in between."""
    if len(place) > 2 and place[0] in TAGGED:
        place = place[:2] + place[3:]
    return tuple(key for key in place if not (isinstance(key, str) and ("[" in key or key in {"float", "Gradient"})))


def _line(mistake: Any, prefix: str = "") -> str:
    key = prefix + ".".join(str(k) for k in (_keys(mistake["loc"]) if not prefix else mistake["loc"]))
    match mistake["type"]:
        case "extra_forbidden":
            return f"{key}: unknown key; remove it or mend its spelling (the keys are in config.schema.json)"
        case "missing":
            return f"{key}: is missing; add it"
        case "value_error":
            return f"{key}: {mistake['ctx']['error']}"
        case _:
            shown = json.dumps(mistake["input"], ensure_ascii=False, default=str)
            return f"{key}: {mistake['msg'][0].lower()}{mistake['msg'][1:]}, not {shown[:60]}"


# Checks of what spans sections


def _known(key: str, name: str, among: Any, broken: set[str], what: str) -> list[str]:
    if name in among or name in broken:
        return []
    close = difflib.get_close_matches(name, list(among), n=1)
    hint = f"did you mean {close[0]}?" if close else f"add it or choose from: {', '.join(among) or 'none'}"
    return [f"{key}: no {what} '{name}'; {hint}"]


def _check_data(config: Config, broken: set[str]) -> list[str]:
    errors = []
    for name, source in config.sources.items():
        path = getattr(source, "file", None)
        if path is not None and not Path(path).is_file():
            errors.append(f"sources.{name}.file: no file '{path}'; give the path from the working directory")
        for language in getattr(source, "languages", None) or []:
            errors += _known(f"sources.{name}.languages", language, config.languages, broken, "language")
    for name, mixture in config.mixtures.items():
        if abs((total := sum(mixture.parts.values())) - 1) > 1e-6:
            errors.append(f"mixtures.{name}.parts: fractions sum to {total:g}; make them sum to 1")
        for part in mixture.parts:
            errors += _known(f"mixtures.{name}.parts", part, config.sources, broken, "source")
        for language in mixture.languages or []:
            errors += _known(f"mixtures.{name}.languages", language, config.languages, broken, "language")
    for name, suite in config.suites.items():
        errors += _known(f"suites.{name}.source", suite.source, config.sources, broken, "source")
        for language in suite.languages or []:
            errors += _known(f"suites.{name}.languages", language, config.languages, broken, "language")
    for name, judge in config.judges.items():
        for metric in ("harm", "preference"):
            prompt = getattr(judge, metric)
            if not (PROMPTS / f"{prompt}.txt").is_file():
                errors.append(f"judges.{name}.{metric}: no prompt file {prompt}.txt in workflow_scripts/judge_prompts")
        if judge.faults and not judge.model.startswith("mixmerge/"):
            errors.append(f"judges.{name}.faults: only mixmerge/rules can be given faults; remove them")
    if not config.judges:
        errors.append("judges: is empty; add one")
    return errors


def _expand(config: Config, broken: set[str]) -> tuple[dict[str, Model], list[str]]:
    """Grids to rows, patterns to names, overrides to settings."""
    rows: dict[str, dict[str, Any]] = {}
    errors: list[str] = []
    for pattern, row in config.models.items():
        for point in _grid(row.for_):
            try:
                name, fields = str(_fill(pattern, point)), _fill(row.model_extra, point)
                overrides = _fill(row.with_, point)
            except KeyError as missing:
                errors.append(f"models.{pattern}: '{{{missing.args[0]}}}' is not in its `for`; add it there")
                continue
            if name in rows:
                errors.append(f"models.{pattern}: makes '{name}' again; give every model its own name")
            rows[name] = {"fields": fields, "with": overrides}
    models = {}
    for name, row in rows.items():
        model, row_errors = _model(name, row["fields"], row["with"], config, list(rows), broken)
        errors += row_errors
        if model:
            models[name] = model
        else:
            broken.add(name)
    return models, errors


def _grid(grid: Any) -> list[dict[str, Any]]:
    if grid is None:
        return [{}]
    if isinstance(grid, list):
        return grid
    return [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]


def _fill(value: Any, point: dict[str, Any]) -> Any:
    """Put a grid point into a value: '{x}' alone keeps the type, within a string it is formatted."""
    if isinstance(value, str):
        if value[:1] == "{" and value[-1:] == "}" and value.count("{") == 1:
            return point[value[1:-1]]
        return value.format_map(point)
    if isinstance(value, dict):
        return {key: _fill(item, point) for key, item in value.items()}
    if isinstance(value, list):
        return [_fill(item, point) for item in value]
    return value


def _model(
    name: str, fields: dict[str, Any], overrides: dict[str, Any], config: Config, names: list[str], broken: set[str]
) -> tuple[Model | None, list[str]]:
    at = f"models.{name}"
    (kind,) = [kind for kind in KINDS if kind in fields]
    row: Any
    row, errors = _typed(TypeAdapter(KINDS[kind]), fields, at)
    if row is None:
        return None, errors
    settings: Any = None
    parents: tuple[str, ...] = ()
    if isinstance(row, Train | Merge):
        section: dict[str, BaseModel] = dict(config.training if isinstance(row, Train) else config.merging)
        which = row.train if isinstance(row, Train) else row.merge
        errors += _known(f"{at}.{kind}", which, section, broken, "training" if kind == "train" else "merging")
        if which in section:
            adapter: TypeAdapter[Any] = TypeAdapter(Training if isinstance(row, Train) else Merging)
            merged = section[which].model_dump(by_alias=True, exclude_unset=True) | overrides
            settings, setting_errors = _typed(adapter, merged, f"{at}.with", tagged=kind == "merge")
            errors += setting_errors
        if isinstance(row, Train):
            parents = (row.parent,)
        else:
            parents = tuple(itertools.chain.from_iterable(_matches(p, names) for p in row.parents))
    elif overrides:
        errors.append(f"{at}.with: only train and merge have settings; remove it")
    return (Model(name, row, settings, parents) if not errors else None), errors


def _typed(adapter: TypeAdapter[Any], value: Any, at: str, tagged: bool = False) -> tuple[Any, list[str]]:
    try:
        return adapter.validate_python(value), []
    except ValidationError as mistakes:
        return None, [_line({**m, "loc": m["loc"][1:] if tagged else m["loc"]}, f"{at}.") for m in mistakes.errors()]


def _matches(pattern: str, names: list[str]) -> list[str]:
    return [n for n in names if fnmatch.fnmatchcase(n, pattern)] if set(pattern) & set("*?[") else [pattern]


def _check_models(experiment: Experiment, broken: set[str]) -> list[str]:
    config, models, errors = experiment.config, experiment.models, []
    for name, model in models.items():
        at = f"models.{name}"
        for parent in model.parents:
            errors += _known(f"{at}.parent{'s' * (not isinstance(model.row, Train))}", parent, models, broken, "model")
        if isinstance(model.row, Init):
            errors += _known(f"{at}.init", model.row.init, config.architectures, broken, "architecture")
            errors += _known(f"{at}.tokenizer", model.row.tokenizer, config.mixtures, broken, "mixture")
        if isinstance(model.row, Train):
            errors += _check_training(at, model.row, config, broken)
        if isinstance(model.settings, MergeMethod):
            errors += _check_merge(at, model, model.settings, models, broken)
    errors += _known("baseline", config.baseline, models, broken, "model")
    cyclic = [name for name in models if _in_cycle(name, models)]
    if cyclic:
        errors.append(f"models.{cyclic[0]}: is its own ancestor ({' -> '.join(cyclic)}); break the cycle")
    else:
        errors += _check_architectures(experiment)
    return errors


def _check_training(at: str, row: Train, config: Config, broken: set[str]) -> list[str]:
    errors = _known(f"{at}.mixture", row.mixture, config.mixtures, broken, "mixture")
    mixture = config.mixtures.get(row.mixture)
    if mixture is None:
        return errors
    for language in row.languages or []:
        errors += _known(f"{at}.languages", language, mixture.languages or config.languages, broken, "language")
    for part in row.parts or []:
        errors += _known(f"{at}.parts", part, mixture.parts, broken, "part")
    if row.per_language and row.per_language > mixture.per_language:
        errors.append(f"{at}.per_language: {row.per_language} of {mixture.per_language} rows; take at most as many")
    return errors


def _check_merge(at: str, model: Model, settings: MergeMethod, models: dict[str, Model], broken: set[str]) -> list[str]:
    errors = []
    count, method = len(model.parents), merge_methods.METHODS[settings.method]
    least, most = method.parents
    if count < least or (most is not None and count > most):
        wanted = f"exactly {least}" if least == most else f"{least} or more"
        errors.append(f"{at}.parents: {settings.method} needs {wanted} models, got {count}")
    if method.base and model.base is None:
        errors.append(f"{at}: {settings.method} needs a base; set merging.{_named(model.row)}.base to a model")
    elif model.base is not None:
        errors += _known(f"{at}.base", model.base, models, broken, "model")
    for key in ("weights", "density"):
        value = getattr(settings, key, None)
        if isinstance(value, list) and len(value) != count:
            errors.append(f"{at}.{key}: {len(value)} values for {count} parents; give one for all, or one for each")
    return errors


def _named(row: Any) -> str:
    return str(getattr(row, "merge", None) or getattr(row, "train", ""))


def _in_cycle(name: str, models: dict[str, Model]) -> bool:
    pending, seen = list(models[name].needs), set()
    while pending:
        current = pending.pop()
        if current == name:
            return True
        if current in models and current not in seen:
            seen.add(current)
            pending += models[current].needs
    return False


def _check_architectures(experiment: Experiment) -> list[str]:
    """A merge averages weights position by position: all its parents must descend from models of one shape."""
    errors = []
    for name, model in experiment.models.items():
        roots = {
            ancestor: shape
            for need in model.needs
            if need in experiment.models and isinstance(model.row, Merge)
            for ancestor in _roots(need, experiment.models)
            if (shape := _shape(experiment.models[ancestor], experiment.config)) is not None
        }
        if len(roots) > 1 and (why := check_compatible(list(roots.values()))):
            errors.append(
                f"models.{name}.parents: of different architectures ({', '.join(roots)}: {why}); merge models of one"
            )
    return errors


def _roots(name: str, models: dict[str, Model]) -> list[str]:
    model = models[name]
    return [name] if not model.needs else [r for n in model.needs if n in models for r in _roots(n, models)]


def _shape(model: Model, config: Config) -> dict[str, Any] | None:
    """The architecture of a root, where it is known before anything is fetched."""
    if isinstance(model.row, Init):
        fields = config.architectures.get(model.row.init)
        return None if fields is None else {"model_type": "cohere", **fields, "tokenizer": model.row.tokenizer}
    if isinstance(model.row, Load) and (path := Path(model.row.load) / "config.json").is_file():
        return dict(json.loads(path.read_text()))
    return None


def _check_items(experiment: Experiment, broken: set[str]) -> list[str]:
    config, errors = experiment.config, []
    evaluated = set(experiment.evaluated)
    for section, items in (("tables", config.tables), ("figures", config.figures)):
        for name, item in items.items():  # type: ignore[attr-defined]
            at = f"{section}.{name}"
            for label, cells in item.rows.items():
                for model in [cells] if isinstance(cells, str) else cells.values():
                    errors += _known(f"{at}.rows.{label}", model, evaluated, broken, "evaluated model")
            if item.reference is not None:
                errors += _known(f"{at}.reference", item.reference, item.rows, broken, "row")
            if item.judge is not None:
                errors += _known(f"{at}.judge", item.judge, config.judges, broken, "judge")
            for label in [*getattr(item, "x", {}), *getattr(item, "colors", {})]:
                errors += _known(f"{at}", label, item.rows, broken, "row")
    for name, judge in config.judges.items():
        for model in judge.models or []:
            errors += _known(f"judges.{name}.models", model, evaluated, broken, "evaluated model")
    for name, contrast in config.contrasts.items():
        for side in ("mix", "merge"):
            errors += _known(f"contrasts.{name}.{side}", getattr(contrast, side), evaluated, broken, "evaluated model")
    if config.baseline in experiment.models and config.baseline not in evaluated:
        errors.append(f"models.{config.baseline}.evaluate: is false, but it is the baseline; let it answer the suites")
    if config.reproduces and not (PUBLISHED / f"{config.reproduces}.yaml").is_file():
        errors.append(f"reproduces: no file published/{config.reproduces}.yaml; remove the key or add the file")
    return errors


def _check_contrasts(experiment: Experiment) -> list[str]:
    errors = []
    for name, contrast in experiment.config.contrasts.items():
        mix, merge = experiment.learned(contrast.mix), experiment.learned(contrast.merge)
        if contrast.matched != "none" and contrast.matched not in matching.matched_on(mix, merge):
            errors.append(
                f"contrasts.{name}.matched: not matched on {contrast.matched} ({contrast.mix} has {mix.rows} rows and "
                f"{mix.examples} examples, {contrast.merge} has {merge.rows} and {merge.examples}); mend it or say none"
            )
    return errors
