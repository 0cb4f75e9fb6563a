"""What the rows of a source go back to, and the languages they are in, as far as the config alone says."""

from workflow_scripts.base.errors import UserError
from workflow_scripts.config.data import DERIVED, DatasetSource, SynthesisSource, TranslateSource, WorldSource
from workflow_scripts.config.experiment import Config
from workflow_scripts.data.formats import FORMATS


def lineage(source: str, config: Config) -> list[str]:
    """A source and what it is made from, one after the other; the last is known already if they go round."""
    way = [source]
    while (made_from := _made_from(way[-1], config)) and len(way) == len(set(way)):
        way.append(made_from)
    return way


def _made_from(source: str, config: Config) -> str | None:
    known = config.sources.get(source)
    return next((getattr(known, key) for key in DERIVED if hasattr(known, key)), None)


def spoken(source: str, config: Config) -> list[str] | None:
    """The languages of a source; None where only its file says them, or its format cannot be used."""
    way = lineage(source, config)
    if len(way) > len(set(way)) or way[-1] not in config.sources:
        return None
    match config.sources[source]:
        case WorldSource(languages=languages):
            return list(languages or config.languages)
        case DatasetSource(languages=languages, format=name):
            try:
                has = FORMATS[name].languages
            except (KeyError, UserError):
                return None  # which check_data says
            return [language for language in languages or config.languages if language in has]
        case TranslateSource(translate=original, languages=languages):
            known = spoken(original, config)
            return None if known is None else list(dict.fromkeys([*known, *languages]))
        case SynthesisSource(synthesise=seeds, languages=languages):
            known = spoken(seeds, config)
            return None if known is None else [code for code in languages or config.languages if code in known]
    return None
