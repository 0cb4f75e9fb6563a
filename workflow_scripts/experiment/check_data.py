"""Checks of sources, translators, mixtures and suites, and of what they name."""

from pathlib import Path

from workflow_scripts.base.languages import LANGUAGES
from workflow_scripts.config.data import (
    DatasetSource,
    LlmTranslator,
    Mixture,
    Suite,
    SynthesisSource,
    TranslateSource,
    WorldSource,
)
from workflow_scripts.config.experiment import Config
from workflow_scripts.data import allocation, synthesise, translators
from workflow_scripts.data.formats import FORMATS
from workflow_scripts.experiment import checks, sources
from workflow_scripts.experiment.config_errors import Errors
from workflow_scripts.llm.request import RULES
from workflow_scripts.miniature import words


def check(config: Config, errors: Errors) -> None:
    """Check sources, translators, mixtures and suites."""
    for name, source in config.sources.items():
        at = f"sources.{name}"
        if isinstance(source, WorldSource):
            _check_world(at, source, config, errors)
        elif isinstance(source, DatasetSource):
            _check_dataset(at, source, config, errors)
        elif isinstance(source, TranslateSource):
            _check_translation(at, name, source, config, errors)
        elif isinstance(source, SynthesisSource):
            _check_synthesis(at, name, source, config, errors)
        elif not Path(source.file).is_file():
            errors.add(f"{at}.file", f"no file '{source.file}'; give its path from the working directory")
    for name, translator in config.translators.items():
        at = f"translators.{name}"
        if isinstance(translator, LlmTranslator):
            errors.known(f"{at}.llm", translator.llm, "llms", config.llms, "LLM")
            checks.prompt(f"{at}.prompt", translator.prompt, translators.PROMPT, errors)
        else:
            checks.pinned(at, translator.model, translator.revision, errors)
    for name, mixture in config.mixtures.items():
        at = f"mixtures.{name}"
        if abs((total := sum(mixture.parts.values())) - 1) > 1e-6:
            errors.add(f"{at}.parts", f"fractions sum to {total:g}; make them sum to 1")
        checks.languages(at, mixture.languages, config.languages, errors)
        counts = allocation.allocate(mixture.per_language, mixture.parts) if mixture.parts else {}
        for part, count in counts.items():
            if errors.known(f"{at}.parts", part, "sources", config.sources, "source"):
                _check_supply(at, part, "train", count, mixture, config, errors)
    for name, suite in config.suites.items():
        at = f"suites.{name}"
        checks.languages(at, suite.languages, config.languages, errors)
        if errors.known(f"{at}.source", suite.source, "sources", config.sources, "source"):
            _check_supply(at, suite.source, suite.split, suite.per_language or 1, suite, config, errors)


def _check_world(at: str, source: WorldSource, config: Config, errors: Errors) -> None:
    checks.languages(at, source.languages, config.languages, errors)
    for language in source.languages or config.languages if errors.complete("languages") else []:
        if language not in words.LANGUAGES:
            known = ", ".join(sorted(words.LANGUAGES))
            errors.add(at, f"the world has no '{language}', only {known}; give the source `languages`")


def _check_dataset(at: str, source: DatasetSource, config: Config, errors: Errors) -> None:
    checks.languages(at, source.languages, config.languages, errors)
    if (form := checks.row(f"{at}.format", source.format, FORMATS, "format", errors)) is None:
        return
    has = form.languages
    for language in source.languages or []:
        if language not in has:
            errors.add(f"{at}.languages", f"{source.format} has no '{language}', only {', '.join(sorted(has))}")
    if not set(has) & set(config.languages) and errors.complete("languages"):
        errors.add(at, f"{source.format} has none of the experiment's languages, only {', '.join(sorted(has))}")
    checks.pinned(at, source.dataset, source.revision, errors)
    if (total := sum(source.splits.values())) > 1 + 1e-6:
        errors.add(f"{at}.splits", f"shares sum to {total:g}; make them sum to 1 or less")


def _check_translation(at: str, name: str, source: TranslateSource, config: Config, errors: Errors) -> None:
    checks.languages(at, source.languages, config.languages, errors)
    if not errors.known(f"{at}.translate", source.translate, "sources", config.sources, "source"):
        return
    _check_made_from(f"{at}.translate", name, config, errors)
    if not errors.known(f"{at}.translator", source.translator, "translators", config.translators, "translator"):
        return
    codes = getattr(config.translators[source.translator], "codes", {})
    for language in dict.fromkeys([*(sources.spoken(source.translate, config) or []), *source.languages]):
        if language not in LANGUAGES and language not in codes:
            errors.add(f"translators.{source.translator}.codes", f"the code of '{language}' is not known; add it here")


def _check_synthesis(at: str, name: str, source: SynthesisSource, config: Config, errors: Errors) -> None:
    checks.languages(at, source.languages, config.languages, errors)
    errors.known(f"{at}.rephraser", source.rephraser, "llms", config.llms, "LLM")
    for completer in source.completers:
        errors.known(f"{at}.completers", completer, "llms", config.llms, "LLM")
    known = errors.known(f"{at}.judge", source.judge, "judges", config.judges, "judge")
    if known and config.judges[source.judge].model.startswith(RULES):
        errors.add(f"{at}.judge", f"'{source.judge}' knows the miniature's own prompts alone; name an LLM that judges")
    checks.prompt(f"{at}.prompt", source.prompt, synthesise.PROMPT, errors)
    _check_made_from(f"{at}.synthesise", name, config, errors)
    errors.known(f"{at}.synthesise", source.synthesise, "sources", config.sources, "source")


def _check_made_from(at: str, name: str, config: Config, errors: Errors) -> None:
    way = sources.lineage(name, config)
    if name in way[1:]:
        errors.add(at, f"'{name}' is made from itself ({' <- '.join(way)}); break the cycle")


def _check_supply(
    at: str, name: str, split: str, count: int, user: Mixture | Suite, config: Config, errors: Errors
) -> None:
    """Whether a source has the languages, and a made-up one as many rows as are drawn; others are counted when read."""
    source = config.sources[name]
    if not count:
        return
    if isinstance(source, WorldSource) and (has := getattr(source.per_language, split)) < count:
        errors.add(
            at,
            f"needs {count} {split} rows per language of source '{name}', which has {has}; raise them or ask for fewer",
        )
    spoken = sources.spoken(name, config)
    for language in (user.languages or config.languages) if spoken is not None else []:
        if language not in (spoken or []) and language in config.languages:
            errors.add(at, f"source '{name}' has no rows in {language}; give it the language, or name `languages` here")
