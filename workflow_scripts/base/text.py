"""What can be said of an answer without a judge: how much it repeats itself, and which language it is in.

A model that refuses everything, answers in English only or never stops can look harmless; these columns stand beside
harm and win rate so that it cannot.
"""

from collections.abc import Callable, Sequence

from workflow_scripts.base.errors import UserError

GRAM = 4
UNSURE = 0.1  # languages closer than this, relative to one another, are none


def repeated(text: str) -> float:
    """Share of an answer's word 4-grams that stand in it before; of characters where words have no spaces between.

    Source: seq-rep-4 of Welleck et al. 2020, arXiv 1908.04319, section 6.

    >>> repeated("a b c d e"), repeated("no no no no no no no no"), repeated("short")
    (0.0, 0.8, 0.0)
    """
    words: Sequence[str] = text.split()
    if len(words) < GRAM < len(text) and not text.isascii() and len(text) > 20 * max(1, len(words)):
        words = text
    grams = [tuple(words[i : i + GRAM]) for i in range(len(words) - GRAM + 1)]
    return 1 - len(set(grams)) / len(grams) if grams else 0.0


def detector(languages: Sequence[str]) -> Callable[[str], str | None]:
    """A function from a text to its language, of these alone; None where it is unsure or there are no words.

    lingua's n-gram models, offline, in its mode for speed, which is as good as the other from about 120 characters on.

    Args:
        languages: ISO 639-1 codes; a text in a language that is not among them gets the nearest of them.

    Raises:
        UserError: a code that the detector does not know.
    """
    from lingua import IsoCode639_1, Language, LanguageDetectorBuilder

    known = {language.iso_code_639_1.name.lower(): language.iso_code_639_1 for language in Language.all()}
    if unknown := [code for code in languages if code not in known]:
        raise UserError(
            f"languages: the detector does not know {unknown[0]!r}; set `answers_in: any` for suites with that language"
        )
    if len(set(languages)) < 2:  # nothing to confuse it with, so English or Chinese is let in
        other = IsoCode639_1.EN if languages[0] != "en" else IsoCode639_1.ZH
        codes = [known[languages[0]], other]
    else:
        codes = [known[code] for code in languages]
    chosen = LanguageDetectorBuilder.from_iso_codes_639_1(*codes).with_low_accuracy_mode()
    built = chosen.with_minimum_relative_distance(UNSURE).build()

    def spoken(text: str) -> str | None:
        found = built.detect_language_of(text)
        return None if found is None else found.iso_code_639_1.name.lower()

    return spoken
