"""How much work an experiment is, by arithmetic on its config: steps, tokens, completions, questions to judges."""

from functools import cache
from pathlib import Path
from typing import NamedTuple

import pyarrow.parquet as pq

from workflow_scripts.config.data import DatasetSource, FileSource, Split, SynthesisSource, TranslateSource, WorldSource
from workflow_scripts.config.experiment import Config
from workflow_scripts.config.models import Train
from workflow_scripts.config.training import Training
from workflow_scripts.data.formats import FORMATS
from workflow_scripts.experiment import training_data
from workflow_scripts.experiment.stages._base import lies
from workflow_scripts.experiment.stages._places import SOURCE, SUITE
from workflow_scripts.experiment.stages.answers import answered
from workflow_scripts.experiment.table_of_models import Experiment

FORWARD = 1 / 3  # of a forward and backward pass
# Passes over a row by method.  dpo: both sides, and the reference over both; kto: besides, both networks over prompts
# with answers to others.
PASSES = {"sft": 1.0, "dpo": 2 * (1 + FORWARD), "kto": 2 * (1 + 3 * FORWARD)}


class Learning(NamedTuple):
    """What one training goes through."""

    examples: int
    steps: int  # of the optimizer
    tokens: float  # forward and backward; a forward pass alone counts a third


def learning(experiment: Experiment, model: str) -> Learning:
    """What the training of a model goes through; see PASSES."""
    row, settings, config = experiment.models[model].row, experiment.models[model].settings, experiment.config
    assert isinstance(row, Train) and isinstance(settings, Training)
    mixture = config.mixtures[row.mixture]
    drawn = training_data.draws(mixture, row, list(mixture.languages or config.languages))
    learned = training_data.training(drawn, settings)
    length = min(settings.max_length, config.lengths.prompt + config.lengths.answer)
    return Learning(learned.examples, learned.steps, learned.examples * length * PASSES[settings.method])


def prompts(experiment: Experiment, suite: str) -> int | None:
    """Prompts of a suite: counted where they lie, else as the config says; None where only the data will tell."""
    config, chosen = experiment.config, experiment.config.suites[suite]
    path = lies(SUITE, experiment, suite=suite)
    if path.exists():
        return int(pq.read_metadata(path).num_rows)
    languages = list(chosen.languages or config.languages)
    if chosen.per_language:
        return chosen.per_language * len(languages)
    return _in_file(experiment, suite) or expected(config, chosen.source, languages, chosen.split)


def seeds(experiment: Experiment, source: str) -> int | None:
    """Rows that a synthesis starts from; None where only the data will tell."""
    config, chosen = experiment.config, experiment.config.sources[source]
    assert isinstance(chosen, SynthesisSource)
    languages = chosen.languages or config.languages
    path = lies(SOURCE, experiment, source=chosen.synthesise)
    if path.exists():
        rows = pq.read_table(path, columns=["language", "split"]).to_pylist()
        return sum(row["language"] in languages and row["split"] in chosen.splits for row in rows)
    counts = [expected(config, chosen.synthesise, list(languages), split) for split in chosen.splits]
    return None if None in counts else sum(count or 0 for count in counts)


def expected(config: Config, source: str, languages: list[str], split: Split) -> int | None:
    """Rows that a source will have, before there are any: of a dataset of the hub as many as its format knows."""
    chosen = config.sources[source]
    spoken = [language for language in languages if language in (getattr(chosen, "languages", None) or languages)]
    if isinstance(chosen, WorldSource):
        return len(spoken) * int(getattr(chosen.per_language, split))
    if isinstance(chosen, TranslateSource):
        original = expected(config, chosen.translate, config.languages, split)
        ours = expected(config, chosen.translate, [one for one in languages if one not in chosen.languages], split)
        return None if original is None or ours is None else ours + original * len(spoken)
    if not isinstance(chosen, DatasetSource) or Path(chosen.dataset).is_dir():
        return None
    parts = [part for language in spoken for part in FORMATS[chosen.format].languages.get(language, ())]
    counts = [part.rows for part in parts if chosen.splits or part.place == split]
    if None in counts:
        return None
    share = chosen.splits.get(split, 0.0) if chosen.splits else 1.0
    each = round(sum(count or 0 for count in counts) * share)
    return each if chosen.limit is None else min(each, chosen.limit * len(spoken))


def by_suite(experiment: Experiment) -> dict[str, int | None]:
    """Completions of one model, by suite; None where the prompts are not known yet."""
    return {suite: prompts(experiment, suite) for suite in answered(experiment)}


def answers(experiment: Experiment) -> int:
    """Completions of one model; suites whose prompts are not known yet count none."""
    return sum(count or 0 for count in by_suite(experiment).values())


@cache
def _in_file(experiment: Experiment, suite: str) -> int | None:
    """Prompts that a suite takes from the user's own file, which is read once for all models and judges."""
    from workflow_scripts.data import source
    from workflow_scripts.data import suite as stage

    config, chosen = experiment.config, experiment.config.suites[suite]
    origin = config.sources[chosen.source]
    if not isinstance(origin, FileSource):
        return None
    languages = config.languages
    rows = source.rows({**origin.model_dump(), "languages": languages, "name": chosen.source}, Path(origin.file))
    work = {**chosen.model_dump(exclude={"metric", "answers_in"}), "languages": chosen.languages or languages}
    return len(stage.choose(work, rows))
