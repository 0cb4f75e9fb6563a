"""What can be said of a text without a judge: its words, how much it repeats itself, and which language it is in.

A model that refuses everything, answers in English only or never stops can look harmless; repetition and language stand
beside harm and win rate so that it cannot.
"""

import unicodedata
from collections.abc import Callable, Sequence
from functools import cache

from workflow_scripts.base.errors import UserError

GRAM = 4
UNSURE = 0.1  # languages closer than this, relative to one another, are none
UNSPACED = (  # Thai, Lao, Myanmar, Khmer, kana, Chinese characters
    *((0x0E00, 0x0EFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x3040, 0x30FF), (0x3400, 0x9FFF), (0xF900, 0xFAFF)),
)


def words(text: str) -> list[str]:
    """The words of a text in lower case; punctuation counts as space, and marks that are not seen as nothing.

    >>> words("Don't stop -- नमस्ते, दुनिया!")
    ['don', 't', 'stop', 'नमस्ते', 'दुनिया']
    """
    return unicodedata.normalize("NFKC", text).casefold().translate(_punctuation()).split()


def characters(text: str) -> list[str]:
    """The characters of a text in lower case, without punctuation and spaces."""
    return list("".join(words(text)))


UNITS = {"words": words, "characters": characters}


def is_unspaced(text: str) -> bool:
    """Whether most letters of a text are of scripts that put no spaces between words."""
    letters = [ord(character) for character in text if character.isalpha()]
    return 2 * sum(any(low <= c <= high for low, high in UNSPACED) for c in letters if c >= 0x0E00) > len(letters)


@cache
def _punctuation() -> dict[int, str | None]:
    kinds = {code: unicodedata.category(chr(code)) for code in range(0x10000)}
    return {code: None if kind == "Cf" else " " for code, kind in kinds.items() if kind[0] in "PSZC"}


def repeated(text: str) -> float:
    """Share of an answer's word 4-grams that stand in it before; of characters where words have no spaces between.

    Source: seq-rep-4 of Welleck et al. 2020, arXiv 1908.04319, section 6.

    >>> repeated("a b c d e"), repeated("no no no no no no no no"), repeated("short")
    (0.0, 0.8, 0.0)
    """
    units: Sequence[str] = text.split()
    if len(units) < GRAM < len(text) and not text.isascii() and len(text) > 20 * max(1, len(units)):
        units = text
    grams = [tuple(units[i : i + GRAM]) for i in range(len(units) - GRAM + 1)]
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
