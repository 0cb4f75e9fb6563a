"""Sources, mixtures and suites."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from workflow_scripts.config.data import (
    DatasetSource,
    FileSource,
    ModelTranslator,
    SynthesisSource,
    TranslateSource,
    WorldSource,
)
from workflow_scripts.config.fields import executing
from workflow_scripts.config.models import Train
from workflow_scripts.data.formats import FORMATS
from workflow_scripts.experiment.stages._base import Entry, results_of, settings_of, stage
from workflow_scripts.experiment.stages._llms import asked_with, reached
from workflow_scripts.experiment.stages._places import MIXTURE, OVERLAP, SOURCE, SUITE, SYNTHESIS, TRANSLATION
from workflow_scripts.experiment.table_of_models import Experiment
from workflow_scripts.llm import prompts
from workflow_scripts.miniature import words

DETECTOR = ("lingua-language-detector",)


@stage("source", "{source}", {"rows": SOURCE}, work="data.source:rows")
def source(experiment: Experiment) -> Iterator[Entry]:
    """Rows of the made-up world, or of the user's own file."""
    for name, chosen in experiment.config.sources.items():
        if isinstance(chosen, WorldSource | FileSource):
            languages = getattr(chosen, "languages", None) or experiment.config.languages
            more: dict[str, Any] = {"lexicon": words.version()} if isinstance(chosen, WorldSource) else {}
            file = getattr(chosen, "file", None)
            yield Entry(
                {"source": name},
                partial(settings_of, chosen, languages=languages, name=name, **more),
                {"file": [file]} if file else {},
                {"licence": getattr(chosen, "licence", None)},
            )


@stage("dataset", "{source}", {"rows": SOURCE}, work="data.dataset:rows", rows="data.formats")
def dataset(experiment: Experiment) -> Iterator[Entry]:
    """Rows of a published dataset."""
    for name, chosen in experiment.config.sources.items():
        if isinstance(chosen, DatasetSource):
            yield Entry(
                {"source": name},
                partial(settings_of, chosen, name=name, languages=experiment.spoken(name)),
                {"files": files_in(chosen.dataset)},
                {"licence": chosen.licence or FORMATS[chosen.format].licence},
                row=chosen.format,
            )


@stage(
    "translate",
    "{source}",
    {"rows": SOURCE, "quality": TRANSLATION},
    work=("data.translators:LlmTranslator", "data.translate:derive"),
    packages=DETECTOR,
)
def translate(experiment: Experiment) -> Iterator[Entry]:
    """Rows of another source with their translations; `translator` is all that decides what a piece becomes."""
    config = experiment.config
    for name, chosen in config.sources.items():
        if not isinstance(chosen, TranslateSource):
            continue
        translator = config.translators[chosen.translator]
        made_by, licence, execution = results_of(translator), translator.licence, executing(translator)
        units: tuple[str, ...] = ()
        packages: tuple[str, ...] = ()
        if isinstance(translator, ModelTranslator):
            licence = licence or ("CC-BY-NC-4.0" if translator.model.startswith("facebook/nllb") else None)
            units, packages = ("translator:nllb",), ("torch", "transformers", "tokenizers")
        else:
            llm, prompt = config.llms[translator.llm], prompts.template(translator.prompt)
            made_by = made_by.plus(llm=asked_with(llm), prompt=prompt, label=chosen.translator)
            execution = reached(llm, experiment)
        yield Entry(
            {"source": name},
            partial(settings_of, chosen, name=name, order=config.languages, translator=made_by),
            {"source": [SOURCE(source=chosen.translate)], "model": files_in(getattr(translator, "model", ""))},
            {"source": chosen.translate, "translator": chosen.translator, "licence": licence},
            execution,
            units=units,
            packages=packages,
            asks_provider=not units,
        )


@stage(
    "synthesise",
    "{source}",
    {"rows": SOURCE, "yields": SYNTHESIS},
    work="data.synthesise:rows",
    packages=DETECTOR,
)
def synthesise(experiment: Experiment) -> Iterator[Entry]:
    """Rows made from seeds; of who is asked, with which prompts, and nothing of how they are reached."""
    config = experiment.config
    for name, chosen in config.sources.items():
        if not isinstance(chosen, SynthesisSource):
            continue
        judge, writers = config.judges[chosen.judge], dict.fromkeys([chosen.rephraser, *chosen.completers])
        llms = {key: asked_with(config.llms[key]).plus(key=key) for key in writers}
        asked: dict[str, Any] = {
            "rephraser": llms[chosen.rephraser],
            "completers": [llms[key] for key in chosen.completers],
            "judge": asked_with(judge).plus(key=chosen.judge, harm=prompts.template(judge.harm)),
            "prompt": prompts.template(chosen.prompt),
        }
        yield Entry(
            {"source": name},
            partial(settings_of, chosen, name=name, languages=chosen.languages or config.languages, **asked),
            {"seeds": [SOURCE(source=chosen.synthesise)]},
            {"seeds": chosen.synthesise},
            {
                "llms": {key: reached(config.llms[key], experiment) for key in writers},
                "judges": {chosen.judge: reached(judge, experiment)},
            },
            units=("judge:harm",),
        )


@stage("mixture", "{mixture}", {"rows": MIXTURE}, work="data.mixture:draw")
def mixture(experiment: Experiment) -> Iterator[Entry]:
    """A training set; its parts have no order."""
    for name, chosen in experiment.config.mixtures.items():
        parts = sorted(chosen.parts)
        yield Entry(
            {"mixture": name},
            partial(
                settings_of,
                chosen,
                parts=[[part, chosen.parts[part]] for part in parts],
                languages=chosen.languages or experiment.config.languages,
            ),
            {"sources": [SOURCE(source=part) for part in parts]},
            {"sources": parts},
        )


@stage("suite", "{suite}", {"rows": SUITE}, work="data.suite:choose")
def suite(experiment: Experiment) -> Iterator[Entry]:
    """Held-out prompts."""
    for name, chosen in experiment.config.suites.items():
        yield Entry(
            {"suite": name},
            partial(settings_of, chosen, languages=chosen.languages or experiment.config.languages),
            {"source": [SOURCE(source=chosen.source)]},
            {"source": chosen.source},
        )


@stage("overlap", "training and evaluation", {"found": OVERLAP}, work="data.overlap:find")
def overlap(experiment: Experiment) -> Iterator[Entry]:
    """What training and evaluation have in common."""
    config = experiment.config
    learned = {model.row.mixture for model in experiment.models.values() if isinstance(model.row, Train)}
    mixtures, suites = sorted(learned), sorted(config.suites)
    sources = [part for name in mixtures for part in config.mixtures[name].parts]
    sources += [config.suites[name].source for name in suites]
    yield Entry(
        {},
        partial(settings_of, config.overlap, origins={one: experiment.origin(one) for one in sources}),
        {
            "mixtures": [MIXTURE(mixture=name) for name in mixtures],
            "suites": [SUITE(suite=name) for name in suites],
        },
        {"mixtures": mixtures, "suites": suites},
    )


STAGES = [source, dataset, translate, synthesise, mixture, suite, overlap]


def files_in(folder: str) -> list[str]:
    """The files of a local folder of data or of a model; a hub's are known by their revision."""
    files = sorted(Path(folder).rglob("*")) if folder and Path(folder).is_dir() else []
    return [str(file) for file in files if file.is_file() and not any(part[0] == "." for part in file.parts)]
