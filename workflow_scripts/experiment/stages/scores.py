"""What judges say of answers: harm by itself, ability against another model, labelled answers; by batches too."""

from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

from workflow_scripts.config.judging import Judge
from workflow_scripts.experiment.stages._base import Entry, Settings, by_name, settings_of, stage
from workflow_scripts.experiment.stages._llms import asked_with, reached
from workflow_scripts.experiment.stages._places import (
    ANSWERED,
    ANSWERS,
    COMPARISON,
    LABELS,
    LABELS_ANSWERED,
    LABELS_SENT,
    SCORES,
    SENT,
    SUITE,
)
from workflow_scripts.experiment.stages.answers import answered
from workflow_scripts.experiment.table_of_models import Experiment
from workflow_scripts.llm import prompts
from workflow_scripts.llm.request import RULES
from workflow_scripts.metrics import METRICS
from workflow_scripts.miniature import words

LABEL = "{model} on {suite} by {judge}, seed {seed}"
WORK = ("judge.questions:read", "judge.scores:judge", "judge.scores:described", "base.text:detector")


class Judged(NamedTuple):
    """What one job of judging is about."""

    judge: str
    model: str | None  # None: a labelled suite's own answers
    suite: str
    against: str | None = None  # a model that is not the baseline


def judged(experiment: Experiment, judge: str) -> list[Judged]:
    """Everything that a judge is asked, but for labelled answers: each model and suite, and the contrasts.

    In the order of names, their numbers by value, so that the order in the config decides nothing.
    """
    config, chosen = experiment.config, experiment.config.judges[judge].models
    models = [m for m in sorted(experiment.evaluated, key=by_name) if chosen is None or m in {*chosen, config.baseline}]
    compared = [name for name in answered(experiment) if METRICS[config.suites[name].metric].compares]
    found = [
        Judged(judge, model, suite)
        for model in models
        for suite in answered(experiment)
        if model != config.baseline or suite not in compared  # the baseline is not compared with itself
    ]
    sides = {(c.merge, c.mix): None for c in config.contrasts.values() if {c.merge, c.mix} <= set(models)}
    pairs = sorted(pair for pair in sides if config.baseline not in pair)
    return found + [Judged(judge, merge, suite, mix) for merge, mix in pairs for suite in compared]


def labelled(experiment: Experiment) -> list[tuple[str, str]]:
    """Judge and suite of every labelled set that measures a judge."""
    suites = sorted(name for name, suite in experiment.config.suites.items() if METRICS[suite.metric].labelled)
    return [(judge, suite) for judge in experiment.config.judges for suite in suites]


@stage("judge", LABEL, {"scores": SCORES}, work=WORK, rows="metrics")
def judge(experiment: Experiment) -> Iterator[Entry]:
    """A model's answers to a suite, by one judge."""
    yield from (entry for entry in _judgments(experiment) if "against" not in entry.wildcards)


@stage(
    "compare",
    "{model} on {suite} against {against} by {judge}, seed {seed}",
    {"scores": COMPARISON},
    work=WORK,
    command="judge",
    rows="metrics",
)
def compare(experiment: Experiment) -> Iterator[Entry]:
    """The two sides of a contrast, set against one another."""
    yield from (entry for entry in _judgments(experiment) if "against" in entry.wildcards)


@stage("calibrate", "{suite} by {judge}", {"scores": LABELS}, work=WORK, command="judge", rows="metrics")
def calibrate(experiment: Experiment) -> Iterator[Entry]:
    """Answers with labels, which measure a judge."""
    for name, suite in labelled(experiment):
        yield _judgment(experiment, Judged(name, None, suite), {"judge": name, "suite": suite}, LABELS_ANSWERED)


@stage(
    "submit",
    "{model} by {judge}, seed {seed}",
    {"ticket": SENT},
    work="judge.questions:requests",
    on_demand=True,
)
def submit(experiment: Experiment) -> Iterator[Entry]:
    """What a judge is asked about a model, handed in as batches."""
    for seed in experiment.config.seeds:
        for name, model in _batched(experiment):
            asked = [one for one in judged(experiment, name) if one.model == model]
            yield _batch(experiment, asked, {"seed": str(seed), "judge": name, "model": model})


@stage(
    "submit_labels",
    "labelled answers by {judge}",
    {"ticket": LABELS_SENT},
    work="judge.questions:requests",
    command="submit",
    on_demand=True,
)
def submit_labels(experiment: Experiment) -> Iterator[Entry]:
    """What a judge is asked about labelled answers, handed in as batches."""
    for name in _measured(experiment):
        asked = [Judged(judge, None, suite) for judge, suite in labelled(experiment) if judge == name]
        yield _batch(experiment, asked, {"judge": name})


@stage(
    "collect",
    "{model} by {judge}, seed {seed}",
    {"answered": ANSWERED},
    work="llm.batches:collect",
    on_demand=True,
)
def collect(experiment: Experiment) -> Iterator[Entry]:
    """The answers of a judge to what it was asked about a model."""
    for seed in experiment.config.seeds:
        for name, model in _batched(experiment):
            yield _collection(experiment, {"seed": str(seed), "judge": name, "model": model}, SENT)


@stage(
    "collect_labels",
    "labelled answers by {judge}",
    {"answered": LABELS_ANSWERED},
    work="llm.batches:collect",
    command="collect",
    on_demand=True,
)
def collect_labels(experiment: Experiment) -> Iterator[Entry]:
    """The answers of a judge to what it was asked about labelled answers."""
    for name in _measured(experiment):
        yield _collection(experiment, {"judge": name}, LABELS_SENT)


STAGES = [submit, submit_labels, collect, collect_labels, judge, compare, calibrate]


def _judgments(experiment: Experiment) -> Iterator[Entry]:
    for seed in experiment.config.seeds:
        for name in experiment.config.judges:
            for one in judged(experiment, name):
                assert one.model
                wildcards = {"seed": str(seed), "judge": name, "model": one.model, "suite": one.suite}
                wildcards |= {"against": one.against} if one.against else {}
                yield _judgment(experiment, one, wildcards, ANSWERED)


def _judgment(experiment: Experiment, one: Judged, wildcards: dict[str, str], batch: str) -> Entry:
    config = experiment.config
    metric, against = _asked(experiment, one)
    return Entry(
        wildcards,
        partial(_settings, experiment, one.judge, one.suite),
        {
            "suite": [SUITE(suite=one.suite)],
            "generations": [ANSWERS(model=one.model, suite=one.suite)] if one.model else [],
            "baseline": [ANSWERS(model=against, suite=one.suite)] if against else [],
            "batch": [batch],
        },
        {"model": one.model, "judge": one.judge, "suite": one.suite, "baseline": against},
        reached(config.judges[one.judge], experiment),
        row=metric,
        units=("rule_judge",) if config.judges[one.judge].model.startswith(RULES) else (),
        asks_provider=not config.judges[one.judge].model.startswith(RULES),
    )


def _asked(experiment: Experiment, one: Judged) -> tuple[str, str | None]:
    """The metric that a judge is asked for, and the model that answers are set against, if any."""
    metric = experiment.config.suites[one.suite].metric
    return metric, (one.against or experiment.config.baseline) if METRICS[metric].compares else None


def _settings(experiment: Experiment, name: str, suite: str) -> Settings:
    """What decides the scores of answers to a suite."""
    config, chosen = experiment.config, experiment.config.suites[suite]
    asked = config.judges[name]
    looks = chosen.answers_in == "prompt" and not METRICS[chosen.metric].labelled
    more: dict[str, Any] = {
        "metric": chosen.metric,
        "prompt": prompts.template(_prompt(asked, chosen.metric)),
        "languages": sorted(config.languages) if looks else None,
    }
    if asked.model.startswith(RULES):
        more["lexicon"] = words.version()
    return settings_of(asked, **more)


def _prompt(judge: Judge, metric: str) -> str:
    """The name of the prompt by which a judge is asked for a metric."""
    return str(getattr(judge, METRICS[metric].prompt))


def _batch(experiment: Experiment, asked: list[Judged], wildcards: dict[str, str]) -> Entry:
    """Everything that a judge is asked about a model (or about labelled answers), in one go."""
    judge, model = experiment.config.judges[wildcards["judge"]], wildcards.get("model")
    questions: list[dict[str, Any]] = []
    for one in asked:
        metric, against = _asked(experiment, one)
        questions.append({"metric": metric, "suite": one.suite, "baseline": against})
    templates = {one["metric"]: prompts.template(_prompt(judge, one["metric"])) for one in questions}
    settings = Settings({}, {}).plus(settings=asked_with(judge), prompts=templates, questions=questions)
    suites = list(dict.fromkeys(question["suite"] for question in questions))
    pairs = _pairs(questions, model)
    return Entry(
        wildcards,
        lambda: settings,
        {
            "suites": [SUITE(suite=suite) for suite in suites],
            "generations": [ANSWERS(model=answering, suite=suite) for answering, suite in pairs],
        },
        {"judge": wildcards["judge"], "model": model, "suites": suites, "generations": pairs},
        reached(judge, experiment),
        units=tuple(f"judge:{metric}" for metric in sorted(templates)),
    )


def _pairs(questions: list[dict[str, Any]], model: str | None) -> list[list[str]]:
    """Model and suite of the answers that questions are about, in the order of the files."""
    pairs: dict[tuple[str, str], None] = {}
    for question in questions:
        for other in (model, question["baseline"]):
            pairs |= {(other, question["suite"]): None} if other else {}
    return [list(pair) for pair in pairs]


def _collection(experiment: Experiment, wildcards: dict[str, str], ticket: str) -> Entry:
    name = wildcards["judge"]
    inputs = {"judge": name, "model": wildcards.get("model")}
    execution = reached(experiment.config.judges[name], experiment)
    return Entry(wildcards, partial(Settings, {}, {}), {"ticket": [ticket]}, inputs, execution)


def _batched(experiment: Experiment) -> Iterator[tuple[str, str]]:
    """Judge and model of every batch."""
    for name, judge in experiment.config.judges.items():
        if judge.batch:
            yield from (
                (name, model) for model in dict.fromkeys(one.model for one in judged(experiment, name)) if model
            )


def _measured(experiment: Experiment) -> list[str]:
    """The judges that are asked about labelled answers by batches."""
    judges = dict.fromkeys(judge for judge, _ in labelled(experiment))
    return [name for name in judges if experiment.config.judges[name].batch]
