"""Tables and figures."""

from collections.abc import Iterator
from functools import partial
from typing import Any

from workflow_scripts.config.experiment import Config
from workflow_scripts.config.fields import deciding
from workflow_scripts.config.models import Merge
from workflow_scripts.experiment import training_data
from workflow_scripts.experiment.stages._base import Entry, Settings, fill, stage
from workflow_scripts.experiment.stages._places import COMPARISON, CURVE, FIGURE, LABELS, MANIFEST, SCORES, TABLE
from workflow_scripts.experiment.stages.scores import Judged, judged, labelled
from workflow_scripts.experiment.table_of_models import Experiment
from workflow_scripts.paper import published
from workflow_scripts.paper.kinds import COMPARING, MEASURING
from workflow_scripts.paper.remarks import REMARKS

READING = ("paper.scores:item", "paper.scores:read")  # of scores, on the way to both


def scores_of(experiment: Experiment, section: str, name: str) -> list[Judged]:
    """The scores that a table or figure is made from."""
    config, item = experiment.config, _items(experiment.config, section)[name]
    if item.kind == "curves":
        return []
    chosen = item.suites or list(config.suites)
    if item.kind not in MEASURING:
        models = set(models_of(experiment, section, name))
        direct = "direct" in item.metrics
        found = judged(experiment, item.judge or next(iter(config.judges)))
        found = [one for one in found if one.suite in chosen and one.model in models]
        return [one for one in found if one.against is None or (direct and one.against in models)]
    by_judge = {judge: judged(experiment, judge) for judge in config.judges}
    common = set.intersection(*({one.model for one in found} for found in by_judge.values()))
    wanted = common & {config.baseline, *_cells(item)} if item.rows else common
    everything = (one for found in by_judge.values() for one in found)
    return [one for one in everything if one.against is None and one.suite in chosen and one.model in wanted]


def models_of(experiment: Experiment, section: str, name: str) -> list[str]:
    """The models whose scores a table or figure is made from, the baseline first; or whose curves it shows."""
    config, item = experiment.config, _items(experiment.config, section)[name]
    baseline = [] if item.kind == "curves" else [config.baseline]
    return list(dict.fromkeys([*baseline, *_shown(config, item)]))


def merges_of(experiment: Experiment, section: str, name: str) -> list[str]:
    """The merges shown in a table or figure that report what its reader must know."""
    config, item = experiment.config, _items(experiment.config, section)[name]
    if item.kind == "judges":
        return []  # its rows only choose whose answers are counted
    models = [experiment.models[model] for model in dict.fromkeys(_shown(config, item))]
    return [
        one.name for one in models if isinstance(one.row, Merge) and one.settings and one.settings.method in REMARKS
    ]


@stage(
    "table",
    "{table}",
    {form: TABLE(form=form) for form in ("md", "csv", "tex")},
    work=(*READING, "paper.table:render"),
    rows="paper.tables",
    packages=("scipy", "statsmodels"),
)
def table(experiment: Experiment) -> Iterator[Entry]:
    """A table."""
    for name in experiment.config.tables:
        yield _entry(experiment, "tables", name, {"table": name})


@stage(
    "figure",
    "{figure}",
    {form: FIGURE(form=form) for form in ("svg", "png", "csv")},
    work=(*READING, "paper.drawing:draw"),
    rows="paper.figures",
    packages=("scipy", "statsmodels", "matplotlib"),
)
def figure(experiment: Experiment) -> Iterator[Entry]:
    """A figure."""
    for name in experiment.config.figures:
        yield _entry(experiment, "figures", name, {"figure": name})


STAGES = [table, figure]


def _entry(experiment: Experiment, section: str, name: str, wildcards: dict[str, str]) -> Entry:
    config, item = experiment.config, _items(experiment.config, section)[name]
    sources: list[dict[str, Any]] = []
    files: dict[str, list[str]] = {"scores": [], "curves": []}

    def add(role: str, place: str, **known: Any) -> None:
        files[role].append(fill(place, known))
        if role == "scores":
            sources.append(known)

    for seed in config.seeds:
        for one in scores_of(experiment, section, name):
            place = COMPARISON if one.against else SCORES
            add("scores", place, seed=seed, **{key: value for key, value in one._asdict().items() if value})
    if item.kind in MEASURING:
        for judge, suite in labelled(experiment):
            add("scores", LABELS, judge=judge, suite=suite)
    curves = []
    if item.kind == "curves":
        for seed in config.seeds:
            for model in models_of(experiment, section, name):
                add("curves", CURVE, seed=seed, model=model)
                curves.append({"seed": seed, "model": model})
    merges = [{"seed": seed, "model": model} for model in merges_of(experiment, section, name) for seed in config.seeds]
    if merges:
        files["merges"] = [fill(MANIFEST, merge) for merge in merges]
    read = {*item.metrics, "harmful", "win", "direct"} if item.kind != "curves" else set()
    return Entry(
        wildcards,
        partial(_settings, experiment, section, name),
        files,
        {"scores": sources, "curves": curves, **({"merges": merges} if merges else {})},
        row=item.kind,
        units=tuple(f"measure:{measure}" for measure in sorted(read)),
    )


def _settings(experiment: Experiment, section: str, name: str) -> Settings:
    """What an item needs beside the scores: resampling, what each model learned, contrasts, published values.

    Rows and contrasts are lists of pairs, since their order is that of the item, and canonical JSON keeps no other.
    """
    config, item = experiment.config, _items(experiment.config, section)[name]
    learned = {model: experiment.learned(model) for model in models_of(experiment, section, name)}
    judges = config.judges.items() if item.kind in MEASURING else []
    settings: dict[str, Any] = {
        "item": name,
        "rows": [[row, cell if isinstance(cell, str) else list(cell.items())] for row, cell in item.rows.items()],
        "judge": item.judge or next(iter(config.judges)),
        "alpha": config.power.alpha,
        "matters": {"harm": config.power.harm.matters, "win": config.power.win.matters},
        "baseline": config.baseline,
        "languages": config.languages,
        "learned": {model: _amounts(known) for model, known in learned.items()},
        "matched": [[a, b, training_data.matched_on(learned[a], learned[b])] for a, b in _pairs(config, item)],
        "published": _published(config.reproduces, name),
    }
    faults = {judge: asked.faults for judge, asked in judges if asked.faults}
    contrasts = {one: config.contrasts[one] for one in _contrasts(config, item)}
    parts = settings | {
        "spec": deciding(item),
        "bootstrap": deciding(config.bootstrap),
        "faults": {judge: deciding(of) for judge, of in faults.items()},
        "contrasts": [[one, {"mix": of.mix, "merge": of.merge, **deciding(of)}] for one, of in contrasts.items()],
    }
    return Settings(
        {name: part for name, part in parts.items() if part not in (None, [], {})},
        settings
        | {
            "spec": item.model_dump(exclude={"rows", "contrasts"}),
            "bootstrap": config.bootstrap.model_dump(),
            "faults": {judge: of.model_dump() for judge, of in faults.items()},
            "contrasts": [[one, of.model_dump()] for one, of in contrasts.items()],
        },
    )


def _contrasts(config: Config, item: Any) -> list[str]:
    """The contrasts that an item prints."""
    return (item.contrasts or list(config.contrasts)) if item.kind in COMPARING else []


def _pairs(config: Config, item: Any) -> list[tuple[str, str]]:
    """(model, reference) for every comparison that an item prints."""
    if item.kind in COMPARING:
        chosen = [config.contrasts[name] for name in _contrasts(config, item)]
        return [(contrast.merge, contrast.mix) for contrast in chosen]
    if item.reference is None:
        return []
    reference = item.rows[item.reference]
    pairs = []
    for cell in item.rows.values():
        if isinstance(cell, str):
            pairs += [(cell, reference)] if isinstance(reference, str) else []
        elif isinstance(reference, dict):
            pairs += [(model, reference[group]) for group, model in cell.items() if group in reference]
        else:
            pairs += [(model, reference) for model in cell.values()]
    return pairs


def _shown(config: Config, item: Any) -> list[str]:
    return [model for pair in _pairs(config, item) for model in pair] + _cells(item)


def _cells(item: Any) -> list[str]:
    return [m for cell in item.rows.values() for m in ([cell] if isinstance(cell, str) else cell.values())]


def _amounts(learned: training_data.Learned) -> dict[str, int | None]:
    """What a model learned from, in numbers; of loaded models steps are not known, and what their rows do not state."""
    if not learned.is_known:
        return dict.fromkeys(("rows", "examples", "steps", "tokens"))
    found: dict[str, int | None] = {"rows": learned.rows, "examples": learned.examples, "steps": learned.steps}
    is_loaded = any(language == "" for *_, language in learned.draws)
    return found | ({"steps": None, "tokens": learned.tokens} if is_loaded else {})


def _items(config: Config, section: str) -> dict[str, Any]:
    return dict(getattr(config, section))


def _published(name: str | None, item: str) -> dict[str, Any] | None:
    """What a paper printed in one item; another item's values are no part of its recipe."""
    if name is None:
        return None
    known = published.read(published.PUBLISHED / f"{name}.yaml")
    values = [value for value in known.values if value.item == item]
    return known.model_copy(update={"values": tuple(values), "facts": ()}).model_dump(mode="json")
