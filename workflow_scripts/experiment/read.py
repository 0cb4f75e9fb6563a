"""From the file as written to the experiment: grids expanded, everything that spans sections checked, all at once."""

import fnmatch
import itertools
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from workflow_scripts.base.errors import UserError
from workflow_scripts.base.languages import LANGUAGES
from workflow_scripts.config.data import (
    DERIVED,
    DatasetSource,
    FileSource,
    LlmTranslator,
    Mixture,
    Suite,
    SynthesisSource,
    TranslateSource,
    WorldSource,
)
from workflow_scripts.config.experiment import Config
from workflow_scripts.config.merging import MergeMethod, Merging
from workflow_scripts.config.models import KINDS, Init, Load, Merge, Train
from workflow_scripts.config.paper import METRICS, FigureItem, TableItem
from workflow_scripts.config.training import Training
from workflow_scripts.data import allocation
from workflow_scripts.data.formats import FORMATS
from workflow_scripts.experiment import training_data
from workflow_scripts.experiment.config_errors import PLACEHOLDER, Mistakes, parse, typed
from workflow_scripts.llm.client import RULES
from workflow_scripts.llm.prompts import PROMPTS
from workflow_scripts.merge import merge_methods
from workflow_scripts.models import architecture, directory
from workflow_scripts.paper import published

LEXICON = Path(__file__).parent.parent / "miniature" / "lexicon"
PUBLISHED = Path(__file__).parents[2] / "published"
BATCHING = ("openai", "azure", "hosted_vllm", "litellm_proxy")  # providers whose batches litellm handles as OpenAI's
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")


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

    def merge_recipe(self, seed: int) -> dict[str, Any]:
        """A merge as its method sees it: every parameter stated, one value per parent."""
        assert isinstance(self.settings, MergeMethod)
        recipe = self.settings.model_dump(by_alias=True, exclude={"base"})
        for key, name in (("weights", "weights"), ("density", "densities")):
            if key in recipe:
                value = recipe.pop(key)
                recipe[name] = value if isinstance(value, list) else [value] * len(self.parents)
        if "seed" in recipe:
            recipe["seed"] += 1000 * seed
        return recipe


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
        """Whether the weights go once the model has answered: a merge that is nobody's parent, if the config says."""
        is_needed = any(name in other.needs for other in self.models.values())
        return isinstance(self.models[name].row, Merge) and not self.config.keep_merges and not is_needed

    def origin(self, source: str) -> str:
        """What the rows of a source go back to: sources of one origin have the same `source_prompt_id` for a prompt."""
        root = self.config.sources[_lineage(source, self.config)[-1]]
        if isinstance(root, DatasetSource):
            return f"dataset {root.dataset}"
        return f"file {root.file}" if isinstance(root, FileSource) else "world"

    def spoken(self, source: str) -> list[str] | None:
        """The languages of a source; None where only its file tells."""
        return _spoken(source, self.config)

    def ancestry(self, name: str) -> list[str]:
        """The model and all it was made from, each once."""
        return _reach([name], self.models)

    def learned(self, name: str) -> training_data.Learned:
        """What a model learned from after the baseline."""
        before = set(self.ancestry(self.config.baseline))
        trained = [self.models[m] for m in self.ancestry(name) if m not in before]
        return training_data.together([self._training(model) for model in trained if isinstance(model.row, Train)])

    def _training(self, model: Model) -> training_data.Learned:
        assert isinstance(model.row, Train) and isinstance(model.settings, Training)
        mixture = self.config.mixtures[model.row.mixture]
        languages = list(mixture.languages or self.config.languages)
        return training_data.training(training_data.draws(mixture, model.row, languages), model.settings)


def load(raw: dict[str, Any]) -> Experiment:
    """Check and expand an experiment.

    Raises:
        ConfigError: with a line for every mistake: the key, what is wrong, what to do.
    """
    mistakes = Mistakes()
    config = parse(raw, mistakes)
    experiment = Experiment(config, _expand(config, mistakes))
    _check_data(config, mistakes)
    _check_models(experiment, mistakes)
    _check_items(experiment, mistakes)
    if not mistakes.lines:
        _check_contrasts(experiment, mistakes)
    if mistakes.lines:
        raise ConfigError(mistakes.lines)
    return experiment


# The table of models


def _expand(config: Config, mistakes: Mistakes) -> dict[str, Model]:
    """Grids to rows, patterns to names, overrides to settings."""
    rows: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {}
    for pattern, row in config.models.items():
        for point in _points(row.for_):
            at = f"models.{pattern}"
            try:
                name = str(_fill(pattern, point))
                written = _fill(row.model_extra, point), _fill(row.with_, point)
            except KeyError as missing:
                mistakes.add(at, f"'{{{missing.args[0]}}}' is not in its `for`; add it there")
                mistakes.set_aside("models", pattern)
                continue
            if not NAME.fullmatch(name):
                mistakes.add(at, f"makes '{name}'; names are of letters, digits and . _ + - alone")
                mistakes.set_aside("models", pattern)
            elif name in rows:
                mistakes.add(at, f"makes '{name}' again; give every model its own name")
            else:
                rows[name] = written
    models = {name: _model(name, *written, config, list(rows), mistakes) for name, written in rows.items()}
    return {name: model for name, model in models.items() if model}


def _points(grid: Any) -> list[dict[str, Any]]:
    if grid is None:
        return [{}]
    if isinstance(grid, list):
        return grid
    return [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]


def _fill(value: Any, point: dict[str, Any]) -> Any:
    """Put a grid point into a value: '{x}' alone keeps the type of x, within a string it becomes text."""
    if isinstance(value, str):
        if alone := PLACEHOLDER.fullmatch(value):
            return point[alone[1]]
        return PLACEHOLDER.sub(lambda found: str(point[found[1]]), value)
    if isinstance(value, dict):
        return {key: _fill(item, point) for key, item in value.items()}
    if isinstance(value, list):
        return [_fill(item, point) for item in value]
    return value


def _model(
    name: str, fields: dict[str, Any], overrides: dict[str, Any], config: Config, names: list[str], mistakes: Mistakes
) -> Model | None:
    at = f"models.{name}"
    (kind,) = [kind for kind in KINDS if kind in fields]
    row = typed(TypeAdapter(KINDS[kind]), fields, at, mistakes)
    if row is None:
        mistakes.set_aside("models", name)
        return None
    if isinstance(row, Train):
        settings = _settings(at, "training", row.train, TypeAdapter(Training), overrides, config, mistakes)
        return Model(name, row, settings, (row.parent,))
    if isinstance(row, Merge):
        settings = _settings(at, "merging", row.merge, TypeAdapter(Merging), overrides, config, mistakes)
        parents = itertools.chain.from_iterable(_matches(p, name, names, at, mistakes) for p in row.parents)
        return Model(name, row, settings, tuple(parents))
    if overrides:
        mistakes.add(f"{at}.with", "only train and merge have settings; remove it")
    return Model(name, row, None, ())


def _settings(
    at: str,
    section: str,
    which: str,
    adapter: TypeAdapter[Any],
    overrides: dict[str, Any],
    config: Config,
    mistakes: Mistakes,
) -> Any:
    """The named settings with a row's overrides."""
    named: dict[str, Any] = getattr(config, section)
    key = "train" if section == "training" else "merge"
    if not mistakes.known(f"{at}.{key}", which, section, named, section):
        return None
    merged = named[which].model_dump(by_alias=True, exclude_unset=True) | overrides
    return typed(adapter, merged, f"{at}.with", mistakes, tagged=section == "merging")


def _matches(pattern: str, name: str, names: list[str], at: str, mistakes: Mistakes) -> list[str]:
    """The models that a merge means by a parent: a name, or all others that a pattern matches."""
    if not _is_pattern(pattern):
        return [pattern]
    found = [other for other in names if other != name and fnmatch.fnmatchcase(other, pattern)]
    if not found and mistakes.complete("models"):
        mistakes.add(f"{at}.parents", f"no model matches '{pattern}'; mend it or name the models")
    return found


def _is_pattern(parent: str) -> bool:
    return bool(set(parent) & set("*?["))


def _reach(names: Iterable[str], models: dict[str, Model]) -> list[str]:
    """Models and all they were made from, each once."""
    seen = dict.fromkeys(names)
    pending = list(seen)
    for current in pending:
        needs = models[current].needs if current in models else ()
        pending += [need for need in dict.fromkeys(needs) if need not in seen]
        seen |= dict.fromkeys(needs)
    return list(seen)


# Checks of what spans sections


def _check_data(config: Config, mistakes: Mistakes) -> None:
    spoken = {path.stem for path in LEXICON.glob("??.yaml")}
    for section, entries in (("suites", config.suites), ("judges", config.judges), ("models", config.models)):
        if not entries and mistakes.complete(section):
            mistakes.add(section, "is empty; add one")
    for name, source in config.sources.items():
        at = f"sources.{name}"
        if isinstance(source, WorldSource):
            _check_languages(at, source.languages, config.languages, mistakes)
            for language in source.languages or config.languages if mistakes.complete("languages") else []:
                if language not in spoken:
                    mistakes.add(
                        at,
                        f"the world has no '{language}', only {', '.join(sorted(spoken))}; give the source `languages`",
                    )
        elif isinstance(source, DatasetSource):
            _check_dataset(at, source, config, mistakes)
        elif isinstance(source, TranslateSource):
            _check_translation(at, name, source, config, mistakes)
        elif isinstance(source, SynthesisSource):
            _check_synthesis(at, name, source, config, mistakes)
        elif not Path(source.file).is_file():
            mistakes.add(f"{at}.file", f"no file '{source.file}'; give its path from the working directory")
    for name, translator in config.translators.items():
        at = f"translators.{name}"
        if isinstance(translator, LlmTranslator):
            mistakes.known(f"{at}.llm", translator.llm, "llms", config.llms, "LLM")
            if not (PROMPTS / f"{translator.prompt}.txt").is_file():
                mistakes.add(f"{at}.prompt", f"no file llm/prompt_files/{translator.prompt}.txt; add it")
        elif translator.revision is None and not Path(translator.model).is_dir():
            what = f"no folder '{translator.model}', and a hub id needs a commit"
            mistakes.add(f"{at}.revision", f"{what}; mend the path, or pin the commit here")
    for name, mixture in config.mixtures.items():
        at = f"mixtures.{name}"
        if abs((total := sum(mixture.parts.values())) - 1) > 1e-6:
            mistakes.add(f"{at}.parts", f"fractions sum to {total:g}; make them sum to 1")
        _check_languages(at, mixture.languages, config.languages, mistakes)
        counts = allocation.allocate(mixture.per_language, mixture.parts) if mixture.parts else {}
        for part, count in counts.items():
            if mistakes.known(f"{at}.parts", part, "sources", config.sources, "source"):
                _check_supply(at, part, "train", count, mixture, config, mistakes)
    for name, suite in config.suites.items():
        at = f"suites.{name}"
        _check_languages(at, suite.languages, config.languages, mistakes)
        if mistakes.known(f"{at}.source", suite.source, "sources", config.sources, "source"):
            _check_supply(at, suite.source, suite.split, suite.per_language or 1, suite, config, mistakes)
    for name, judge in config.judges.items():
        for metric in ("harm", "preference"):
            prompt = getattr(judge, metric)
            if not (PROMPTS / f"{prompt}.txt").is_file():
                mistakes.add(f"judges.{name}.{metric}", f"no file llm/prompt_files/{prompt}.txt; add it")
        if judge.batch and judge.model.split("/")[0] not in BATCHING and "/" in judge.model:
            known = ", ".join(BATCHING)
            mistakes.add(f"judges.{name}.batch", f"only {known} take batches of OpenAI's form; remove it")
        if judge.faults:
            if not judge.model.startswith(RULES):
                mistakes.add(f"judges.{name}.faults", "only mixmerge/rules can be given faults; remove them")
            for language in {**judge.faults.sensitivity, **judge.faults.specificity}:
                mistakes.known(f"judges.{name}.faults", language, "languages", config.languages, "language")


def _check_dataset(at: str, source: DatasetSource, config: Config, mistakes: Mistakes) -> None:
    if not mistakes.known(f"{at}.format", source.format, "", FORMATS, "format"):
        return
    _check_languages(at, source.languages, config.languages, mistakes)
    has = FORMATS[source.format].languages
    for language in source.languages or []:
        if language not in has:
            mistakes.add(f"{at}.languages", f"{source.format} has no '{language}', only {', '.join(sorted(has))}")
    if not set(has) & set(config.languages) and mistakes.complete("languages"):
        mistakes.add(at, f"{source.format} has none of the experiment's languages, only {', '.join(sorted(has))}")
    if source.revision is None and not Path(source.dataset).is_dir():
        what = f"no folder '{source.dataset}', and a hub id needs a commit"
        mistakes.add(f"{at}.revision", f"{what}; mend the path, or pin the commit here")
    if (total := sum(source.splits.values())) > 1 + 1e-6:
        mistakes.add(f"{at}.splits", f"shares sum to {total:g}; make them sum to 1 or less")


def _check_translation(at: str, name: str, source: TranslateSource, config: Config, mistakes: Mistakes) -> None:
    _check_languages(at, source.languages, config.languages, mistakes)
    if not mistakes.known(f"{at}.translate", source.translate, "sources", config.sources, "source"):
        return
    _check_made_from(f"{at}.translate", name, config, mistakes)
    if not mistakes.known(f"{at}.translator", source.translator, "translators", config.translators, "translator"):
        return
    codes = getattr(config.translators[source.translator], "codes", {})
    for language in dict.fromkeys([*(_spoken(source.translate, config) or []), *source.languages]):
        if language not in LANGUAGES and language not in codes:
            mistakes.add(
                f"translators.{source.translator}.codes", f"the code of '{language}' is not known; add it here"
            )


def _check_made_from(at: str, name: str, config: Config, mistakes: Mistakes) -> None:
    way = _lineage(name, config)
    if name in way[1:]:
        mistakes.add(at, f"'{name}' is made from itself ({' <- '.join(way)}); break the cycle")


def _lineage(source: str, config: Config) -> list[str]:
    """A source and what it is made from, one after the other; the last is known already if they go round."""
    way = [source]
    while (made_from := _made_from(way[-1], config)) and len(way) == len(set(way)):
        way.append(made_from)
    return way


def _made_from(source: str, config: Config) -> str | None:
    known = config.sources.get(source)
    return next((getattr(known, key) for key in DERIVED if hasattr(known, key)), None)


def _spoken(source: str, config: Config) -> list[str] | None:
    """The languages of a source; None where only its file tells."""
    way = _lineage(source, config)
    if len(way) > len(set(way)) or way[-1] not in config.sources:
        return None
    match config.sources[source]:
        case WorldSource(languages=languages):
            return list(languages or config.languages)
        case DatasetSource(languages=languages, format=name):
            has = FORMATS[name].languages if name in FORMATS else {}
            return [language for language in languages or config.languages if language in has]
        case TranslateSource(translate=original, languages=languages):
            spoken = _spoken(original, config)
            return None if spoken is None else list(dict.fromkeys([*spoken, *languages]))
        case SynthesisSource(synthesise=seeds, languages=languages):
            spoken = _spoken(seeds, config)
            return None if spoken is None else [code for code in languages or config.languages if code in spoken]
    return None


def _check_synthesis(at: str, name: str, source: SynthesisSource, config: Config, mistakes: Mistakes) -> None:
    _check_languages(at, source.languages, config.languages, mistakes)
    mistakes.known(f"{at}.rephraser", source.rephraser, "llms", config.llms, "LLM")
    for completer in source.completers:
        mistakes.known(f"{at}.completers", completer, "llms", config.llms, "LLM")
    known = mistakes.known(f"{at}.judge", source.judge, "judges", config.judges, "judge")
    if known and config.judges[source.judge].model.startswith(RULES):
        mistakes.add(
            f"{at}.judge", f"'{source.judge}' knows the miniature's own prompts alone; name an LLM that judges"
        )
    if not (PROMPTS / f"{source.prompt}.txt").is_file():
        mistakes.add(f"{at}.prompt", f"no file llm/prompt_files/{source.prompt}.txt; add it")
    _check_made_from(f"{at}.synthesise", name, config, mistakes)
    mistakes.known(f"{at}.synthesise", source.synthesise, "sources", config.sources, "source")


def _check_languages(at: str, chosen: list[str] | None, languages: list[str], mistakes: Mistakes) -> None:
    for language in chosen or []:
        mistakes.known(f"{at}.languages", language, "languages", languages, "language")


def _check_supply(
    at: str, name: str, split: str, count: int, user: Mixture | Suite, config: Config, mistakes: Mistakes
) -> None:
    """Whether a source has the languages, and a made-up one as many rows as are drawn; others are counted when read."""
    source = config.sources[name]
    if not count:
        return
    if isinstance(source, WorldSource) and (has := getattr(source.per_language, split)) < count:
        mistakes.add(
            at,
            f"needs {count} {split} rows per language of source '{name}', which has {has}; raise them or ask for fewer",
        )
    spoken = _spoken(name, config)
    for language in (user.languages or config.languages) if spoken is not None else []:
        if language not in (spoken or []) and language in config.languages:
            mistakes.add(
                at, f"source '{name}' has no rows in {language}; give it the language, or name `languages` here"
            )


def _check_models(experiment: Experiment, mistakes: Mistakes) -> None:
    config, models = experiment.config, experiment.models
    for name, model in models.items():
        at = f"models.{name}"
        key = f"{at}.parent" if isinstance(model.row, Train) else f"{at}.parents"
        for parent in model.parents:
            mistakes.known(key, parent, "models", models, "model")
        match model.row:
            case Init():
                mistakes.known(f"{at}.init", model.row.init, "architectures", config.architectures, "architecture")
                mistakes.known(f"{at}.tokenizer", model.row.tokenizer, "mixtures", config.mixtures, "mixture")
            case Load():
                _check_load(at, model.row, mistakes)
            case Train():
                _check_training(at, model.row, config, mistakes)
            case Merge():
                _check_merge(at, model, models, mistakes)
    if mistakes.complete("baseline"):
        mistakes.known("baseline", config.baseline, "models", models, "model")
    cycles = list(_cycles(models))
    for cycle in cycles:
        mistakes.add(f"models.{cycle[0]}", f"is its own ancestor ({' <- '.join([*cycle, cycle[0]])}); break the cycle")
    if not cycles:
        _check_architectures(experiment, mistakes)


def _check_load(at: str, row: Load, mistakes: Mistakes) -> None:
    folder = Path(row.load)
    if row.architecture is not None and (absent := architecture.SHAPE - row.architecture.keys()):
        mistakes.add(
            f"{at}.architecture", f"has no {', '.join(sorted(absent))}; copy them from the model's config.json"
        )
    if folder.is_dir():
        try:
            directory.read_config(folder)
        except UserError as error:
            mistakes.add(f"{at}.load", str(error))
    elif row.revision is None:
        what = f"no folder '{row.load}', and a hub id needs a commit"
        mistakes.add(f"{at}.revision", f"{what}; mend the path, or pin the commit here")


def _check_training(at: str, row: Train, config: Config, mistakes: Mistakes) -> None:
    if not mistakes.known(f"{at}.mixture", row.mixture, "mixtures", config.mixtures, "mixture"):
        return
    mixture = config.mixtures[row.mixture]
    _check_languages(at, row.languages, mixture.languages or config.languages, mistakes)
    for part in row.parts or []:
        mistakes.known(f"{at}.parts", part, "sources", mixture.parts, "part")
    if row.per_language and row.per_language > mixture.per_language:
        mistakes.add(f"{at}.per_language", f"{row.per_language} of {mixture.per_language} rows; take at most as many")


def _check_merge(at: str, model: Model, models: dict[str, Model], mistakes: Mistakes) -> None:
    assert isinstance(model.row, Merge)
    if model.base is not None:
        mistakes.known(f"merging.{model.row.merge}.base", model.base, "models", models, "model")
    if any(map(_is_pattern, model.row.parents)) and (not model.parents or not mistakes.complete("models")):
        return  # how many parents there are is not known
    settings, count = model.settings, len(model.parents)
    if not isinstance(settings, MergeMethod):
        return
    method, before = merge_methods.METHODS[settings.method], len(mistakes.lines)
    least, most = method.parents
    if count < least or (most is not None and count > most):
        wanted = f"exactly {least}" if least == most else f"{least} or more"
        mistakes.add(f"{at}.parents", f"{settings.method} takes {wanted} models, not {count}; name as many")
    if method.base and model.base is None:
        mistakes.add(f"{at}.merge", f"{settings.method} needs a base; set merging.{model.row.merge}.base to a model")
    for key in ("weights", "density"):
        value = getattr(settings, key, None)
        if isinstance(value, list) and len(value) != count:
            mistakes.add(f"{at}.{key}", f"{len(value)} values for {count} parents; give one for all, or one for each")
    if len(mistakes.lines) == before:
        try:
            merge_methods.check(model.merge_recipe(seed=0), count, model.base is not None)
        except UserError as error:
            mistakes.add(at, str(error).replace("`densities`", "`density`"))


def _cycles(models: dict[str, Model]) -> Iterator[list[str]]:
    """Cycles of models that need one another, each once, from a model to what it is made from."""
    told: set[str] = set()
    for name in models:
        if name not in told and (cycle := _way_back(name, models)):
            told |= set(cycle)
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


def _check_architectures(experiment: Experiment, mistakes: Mistakes) -> None:
    """A merge averages weights position by position: all that go into it must descend from models of one shape."""
    models = experiment.models
    for name, model in models.items():
        if not isinstance(model.row, Merge):
            continue
        roots = [root for root in experiment.ancestry(name) if root in models and not models[root].needs]
        shapes = {root: shape for root in roots if (shape := _shape(models[root], experiment.config))}
        if len(shapes) > 1 and (why := architecture.check_compatible(list(shapes.values()))):
            told = f"of different architectures ({', '.join(shapes)}: {why})"
            mistakes.add(f"models.{name}.parents", f"{told}; merge models of one architecture")


def _shape(model: Model, config: Config) -> dict[str, Any] | None:
    """The architecture of a root, where it is known before anything is fetched."""
    if isinstance(model.row, Init) and (given := config.architectures.get(model.row.init)):
        return {"model_type": "cohere", **given.model_dump(), "tokenizer": model.row.tokenizer}
    if isinstance(model.row, Load):
        try:
            return directory.read_config(Path(model.row.load))
        except UserError:
            return model.row.architecture  # on the hub, or noted already
    return None


def _check_items(experiment: Experiment, mistakes: Mistakes) -> None:
    config, models = experiment.config, experiment.models
    for name, table in config.tables.items():
        at = f"tables.{name}"
        _check_item(at, table, experiment, mistakes)
        _check_metrics(at, table, config, mistakes)
        if table.kind in ("cells", "corrected") and not table.rows:
            mistakes.add(f"{at}.rows", "is empty; add one, or remove the table")
        if "direct" in table.metrics and table.kind not in ("contrasts", "verdicts"):
            mistakes.add(f"{at}.metrics", "'direct' compares the two sides of a contrast; make it a table of contrasts")
        if table.kind in ("contrasts", "verdicts") and not config.contrasts and mistakes.complete("contrasts"):
            mistakes.add("contrasts", f"is empty, but {at} prints them; declare one, or remove the table")
        for contrast in table.contrasts or []:
            mistakes.known(f"{at}.contrasts", contrast, "contrasts", config.contrasts, "contrast")
    for name, figure in config.figures.items():
        at = f"figures.{name}"
        _check_item(at, figure, experiment, mistakes)
        if figure.kind != "curves":
            _check_metrics(at, figure, config, mistakes)
        groups = {group for cells in figure.rows.values() if isinstance(cells, dict) for group in cells}
        labels = [*figure.rows, *groups, *(f"{row}, {group}" for row in figure.rows for group in groups)]
        for label in figure.x:
            mistakes.known(f"{at}.x", label, "", figure.rows, "row")
        for label in figure.colors:
            mistakes.known(f"{at}.colors", label, "", labels, "row or group")
        for label in figure.rows if figure.kind == "sweep" else []:
            if label != figure.reference and label not in figure.x and not _is_number(label):
                mistakes.add(f"{at}.x", f"no position for row '{label}'; add it, or make the label a number")
        if "direct" in figure.metrics:
            mistakes.add(f"{at}.metrics", "'direct' compares the two sides of a contrast; print it in a table of them")
    for name, judge in config.judges.items():
        for model in judge.models or []:
            _check_evaluated(f"judges.{name}.models", model, experiment, mistakes)
    for name, declared in config.contrasts.items():
        for side in ("mix", "merge"):
            _check_evaluated(f"contrasts.{name}.{side}", getattr(declared, side), experiment, mistakes)
    if config.baseline in models and not models[config.baseline].row.evaluate:
        mistakes.add(f"models.{config.baseline}.evaluate", "is false, but it is the baseline; let it answer the suites")
    if config.reproduces:
        try:
            published.read(PUBLISHED / f"{config.reproduces}.yaml")
        except UserError as error:
            mistakes.add("reproduces", str(error))


def _check_item(at: str, item: TableItem | FigureItem, experiment: Experiment, mistakes: Mistakes) -> None:
    """What tables and figures have in common."""
    config, models = experiment.config, experiment.models
    for label, cells in item.rows.items():
        for model in [cells] if isinstance(cells, str) else cells.values():
            row = f"{at}.rows.{label}"
            if item.kind != "curves":
                _check_evaluated(row, model, experiment, mistakes)
            elif mistakes.known(row, model, "models", models, "model") and not isinstance(models[model].row, Train):
                mistakes.add(row, f"'{model}' is not trained, so it has no curve; name one that is")
    if item.reference is not None:
        mistakes.known(f"{at}.reference", item.reference, "", item.rows, "row")
    if item.judge is not None:
        mistakes.known(f"{at}.judge", item.judge, "judges", config.judges, "judge")
    _check_languages(at, item.languages, config.languages, mistakes)


def _check_metrics(at: str, item: TableItem | FigureItem, config: Config, mistakes: Mistakes) -> None:
    for suite in item.suites or []:
        mistakes.known(f"{at}.suites", suite, "suites", config.suites, "suite")
    asked = {suite.metric for name, suite in config.suites.items() if name in (item.suites or config.suites)}
    for metric in item.metrics:
        known = mistakes.known(f"{at}.metrics", metric, "", METRICS, "metric")
        if known and METRICS[metric] not in {*asked, None} and mistakes.complete("suites"):
            mistakes.add(f"{at}.metrics", f"'{metric}' needs a suite of metric {METRICS[metric]}; add one")


def _check_evaluated(at: str, name: str, experiment: Experiment, mistakes: Mistakes) -> None:
    if mistakes.known(at, name, "models", experiment.models, "model") and not experiment.models[name].row.evaluate:
        mistakes.add(at, f"'{name}' answers no suite; set its `evaluate` to true, or name another model")


def _is_number(label: str) -> bool:
    try:
        float(label)
    except ValueError:
        return False
    return True


def _check_contrasts(experiment: Experiment, mistakes: Mistakes) -> None:
    for name, contrast in experiment.config.contrasts.items():
        mix, merge = experiment.learned(contrast.mix), experiment.learned(contrast.merge)
        if contrast.matched != "none" and contrast.matched not in training_data.matched_on(mix, merge):
            sides = f"{contrast.mix} has {mix.rows} rows and {mix.examples} examples"
            others = f"{contrast.merge} has {merge.rows} and {merge.examples}"
            what = f"not matched on {contrast.matched} ({sides}, {others})"
            mistakes.add(f"contrasts.{name}.matched", f"{what}; mend a side, or say none")
