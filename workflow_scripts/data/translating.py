"""Translations of rows: what of a text is translated, how it is put together again, and how good it looks.

A translation model is a sentence model.  So a text is cut by line and sentence (a language model gets it by block),
and what is not language stays as it is: fenced code, blank lines, lines without a letter, marks of lists and headings,
and the white space between sentences.  Pieces and gaps together are the text again, to the character.

A sentence ends at . ! ? ... or the marks of other scripts (the danda of Hindi, the Arabic question mark, the full stops
of Chinese and Japanese), with the quotes and brackets that close there, before white space.  It does not end at a full
stop after an initial or an abbreviation of `ABBREVIATIONS`, or before a small letter.  What is still too long is cut
in halves, at the coarsest break near its middle.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import pyarrow as pa

from workflow_scripts.base import records
from workflow_scripts.base.errors import UserError
from workflow_scripts.base.text import detector, repeated

FIELDS = ("prompt", "completion", "rejected")

# ISO 639-1 -> English name, code of NLLB-200 (https://github.com/facebookresearch/flores, README of flores200)
LANGUAGES: Mapping[str, tuple[str, str]] = {
    "am": ("Amharic", "amh_Ethi"), "ar": ("Arabic", "arb_Arab"), "bg": ("Bulgarian", "bul_Cyrl"),
    "bn": ("Bengali", "ben_Beng"), "ca": ("Catalan", "cat_Latn"), "cs": ("Czech", "ces_Latn"),
    "da": ("Danish", "dan_Latn"), "de": ("German", "deu_Latn"), "el": ("Greek", "ell_Grek"),
    "en": ("English", "eng_Latn"), "es": ("Spanish", "spa_Latn"), "fa": ("Persian", "pes_Arab"),
    "fi": ("Finnish", "fin_Latn"), "fr": ("French", "fra_Latn"), "gu": ("Gujarati", "guj_Gujr"),
    "ha": ("Hausa", "hau_Latn"), "he": ("Hebrew", "heb_Hebr"), "hi": ("Hindi", "hin_Deva"),
    "hr": ("Croatian", "hrv_Latn"), "hu": ("Hungarian", "hun_Latn"), "id": ("Indonesian", "ind_Latn"),
    "ig": ("Igbo", "ibo_Latn"), "it": ("Italian", "ita_Latn"), "ja": ("Japanese", "jpn_Jpan"),
    "kn": ("Kannada", "kan_Knda"), "ko": ("Korean", "kor_Hang"), "ml": ("Malayalam", "mal_Mlym"),
    "mr": ("Marathi", "mar_Deva"), "ms": ("Malay", "zsm_Latn"), "ne": ("Nepali", "npi_Deva"),
    "nl": ("Dutch", "nld_Latn"), "pa": ("Punjabi", "pan_Guru"), "pl": ("Polish", "pol_Latn"),
    "pt": ("Portuguese", "por_Latn"), "ro": ("Romanian", "ron_Latn"), "ru": ("Russian", "rus_Cyrl"),
    "sk": ("Slovak", "slk_Latn"), "sl": ("Slovenian", "slv_Latn"), "sr": ("Serbian", "srp_Cyrl"),
    "sv": ("Swedish", "swe_Latn"), "sw": ("Swahili", "swh_Latn"), "ta": ("Tamil", "tam_Taml"),
    "te": ("Telugu", "tel_Telu"), "th": ("Thai", "tha_Thai"), "tl": ("Tagalog", "tgl_Latn"),
    "tr": ("Turkish", "tur_Latn"), "uk": ("Ukrainian", "ukr_Cyrl"), "ur": ("Urdu", "urd_Arab"),
    "vi": ("Vietnamese", "vie_Latn"), "yo": ("Yoruba", "yor_Latn"), "zh": ("Chinese", "zho_Hans"),
    "zu": ("Zulu", "zul_Latn"),
}  # fmt: skip

_SHORT = """
    mr mrs ms dr prof sr sra srta st no nos vs cf etc e.g i.e fig figs al approx dept inc ltd vol p pp
    m mm mme mlle mlles art av env ex p.ex
    d ud uds vd vds ee.uu pág núm
    г гг ул д т.д т.п т.е т.к рис им стр тыс млн
    डॉ श्री सं
"""  # English, French, Spanish, Russian, Hindi
ABBREVIATIONS = frozenset(_SHORT.split())

FENCE = re.compile(r"[ ]{0,3}(`{3,}|~{3,})")
MARKS = re.compile(r"\s*(?:(?:[-*+•>]|#{1,6}|\d{1,3}[.)])\s+)*")
SENTENCE = re.compile(r"[.!?…।॥؟۔]+(?:[\"'”’)\]]|\s?[»›])*(?=\s)|[。！？]+[\"'”’」』）]*")
BREAKS = (re.compile(r"\n\s*\n"), re.compile(r"\n"), SENTENCE, re.compile(r"[,;:،؛，、—–]"), re.compile(r"\s"))


class Piece(NamedTuple):
    """What is translated at once, and from and into which language."""

    text: str
    source: str
    target: str


class Translator(Protocol):
    """What translates pieces; `translators` has them.

    Attributes:
        by_sentence: whether pieces are sentences, or as much as fits.
        most: the largest size of a piece.
        place: key of its pieces in the store, None where a ledger keeps them.
    """

    by_sentence: bool
    most: int
    place: str | None

    def size(self, text: str) -> int:
        """The size of a text, in the translator's tokens."""
        ...

    def translate(self, pieces: Sequence[Piece]) -> dict[Piece, str | None]:
        """The translation of each piece; None where there is none to be had, as of what a provider filters."""
        ...


class Part(NamedTuple):
    """A run of a text, and whether it is translated or stays as it is."""

    text: str
    is_piece: bool


def cut(text: str, translator: Translator) -> list[Part]:
    """Cut a text into pieces and gaps; joined, they are the text.

    Args:
        text: of several lines, with code or without.
        translator: whose `by_sentence`, `most` and `size` decide.
    """
    parts: list[Part] = []
    for run, is_code in _runs(text):
        if is_code:
            parts.append(Part(run, False))
        elif translator.by_sentence:
            for line in run.splitlines(keepends=True):
                marks = MARKS.match(line)
                begin = marks.end() if marks else 0
                parts.append(Part(line[:begin], False))
                for sentence in _sentences(line[begin:]):
                    parts += _fitting(sentence, translator)
        else:
            parts += _fitting(run, translator)
    return [part for part in parts if part.text]


def _runs(text: str) -> Iterator[tuple[str, bool]]:
    """Fenced code, and what stands between; a fence that nothing closes goes to the end."""
    run, fence = "", ""
    for line in text.splitlines(keepends=True):
        mark = FENCE.match(line)
        if not fence and mark:
            yield run, False
            run, fence = "", mark[1]
        elif fence and mark and mark[1].startswith(fence) and not line[mark.end() :].strip():
            yield run + line, True
            run, fence = "", ""
            continue
        run += line
    yield run, bool(fence)


def _sentences(text: str) -> list[str]:
    """Sentences with the white space that follows them."""
    found, begin = [], 0
    for end in SENTENCE.finditer(text):
        after = text[end.end() :].lstrip()
        before = text[begin : end.end()].split()
        word = before[-1].rstrip(".").lstrip("([{\"'«“").casefold() if before else ""
        is_short = end[0] == "." and (word in ABBREVIATIONS or (len(word) == 1 and word.isalpha()))
        if is_short or (after and after[0].islower()):
            continue
        stop = len(text) - len(after)
        found.append(text[begin:stop])
        begin = stop
    return [*found, text[begin:]]


def _fitting(text: str, translator: Translator) -> list[Part]:
    """A text as pieces that are small enough; the white space around them, and what has no letter, are gaps."""
    body = text.strip()
    if not any(character.isalpha() for character in body):
        return [Part(text, False)]
    if translator.size(body) <= translator.most or len(body) < 2:
        begin = text.index(body)
        return [Part(text[:begin], False), Part(body, True), Part(text[begin + len(body) :], False)]
    middle = len(text) // 2
    for kind in BREAKS:
        ends = [match.end() for match in kind.finditer(text) if text[: match.end()].strip()]
        if ends := [end for end in ends if text[end:].strip()]:
            middle = min(ends, key=lambda end: abs(end - len(text) // 2))
            break
    return _fitting(text[:middle], translator) + _fitting(text[middle:], translator)


def width(text: str) -> int:
    """The length of a text as it is seen: a Chinese or Korean character is two, a vowel sign of Hindi none.

    >>> width("hello"), width("你好"), width("नमस्ते")
    (5, 4, 4)
    """
    return sum(
        0
        if unicodedata.category(character) in ("Mn", "Me", "Cf")
        else 1 + (unicodedata.east_asian_width(character) in "WF")
        for character in text
    )


class Quality(NamedTuple):
    """How a translated text looks beside its original, without anybody reading it."""

    ratio: float  # of widths, translation to original
    spoken: str | None  # the language it is in; None where unsure
    repeated: float  # share of word 4-grams that stand in it before
    quality: float  # 0 to 1


def quality(original: str, translation: str, target: str, spoken: Callable[[str], str | None] | None) -> Quality:
    """The least of three: is it about as long, in the language, and not repeating itself more than the original does?

    A width between half and twice that of the original is right; from there it falls with the ratio.  A language that
    cannot be told, as of a name, counts half.
    """
    ratio = width(translation) / max(1, width(original))
    language = spoken(translation) if spoken else target
    repetition = repeated(translation)
    marks = (
        min(1.0, 2 * min(ratio, 1 / ratio)) if ratio else 0.0,
        1.0 if language == target else 0.5 if language is None else 0.0,
        1 - max(0.0, repetition - repeated(original)),
    )
    return Quality(ratio, language if spoken else None, repetition, min(marks))


class Derived(NamedTuple):
    """Rows of the source with their translations, what each translation looks like, and what was left out."""

    rows: pa.Table  # records.ROWS
    qualities: pa.Table  # records.TRANSLATIONS
    counts: dict[str, int]


def derive(work: dict[str, Any], source: pa.Table, translator: Translator) -> Derived:
    """The rows of a source and their translations.

    A prompt is translated from the first of `order` in which the source has it, into those languages in which it has
    not.  Where one of its translations is not to be had, or is below the minimum, the prompt goes in all languages, so
    that every language has the same prompts.

    Args:
        work: `name` of the derived source, `languages` to translate into, `order` of languages, `minimum` of quality.
        source: rows of schema records.ROWS.
        translator: translates pieces, and remembers them.
    """
    rows = source.to_pylist()
    spoken_by: dict[str, set[str]] = {}
    for row in rows:
        spoken_by.setdefault(row["source_prompt_id"], set()).add(row["language"])
    place = {language: number for number, language in enumerate(dict.fromkeys([*work["order"], *_languages(rows)]))}
    pivot = {key: min(spoken, key=lambda language: place[language]) for key, spoken in spoken_by.items()}
    detect = _detector({*work["languages"], *_languages(rows)})
    made: list[dict[str, Any]] = []
    looks: list[dict[str, Any]] = []
    lost: Counter[str] = Counter()
    bad: set[str] = set()
    cuts: dict[str, list[Part]] = {}
    for target in work["languages"]:
        owed = [
            row
            for row in rows
            if row["language"] == pivot[row["source_prompt_id"]] and target not in spoken_by[row["source_prompt_id"]]
        ]
        for text in (text for row in owed for text in _texts(row)):
            if text not in cuts:
                cuts[text] = cut(text, translator)
        pieces = {
            Piece(part.text, row["language"], target): None
            for row in owed
            for text in _texts(row)
            for part in cuts[text]
            if part.is_piece
        }
        known = translator.translate(list(pieces))
        for row in owed:
            key = row["source_prompt_id"]
            translated = {
                **row,
                "id": f"{row['id']}.{target}",
                "language": target,
            }
            for field in FIELDS:
                if row[field] is None:
                    continue
                parts = cuts[row[field]]
                told = [known[Piece(p.text, row["language"], target)] if p.is_piece else p.text for p in parts]
                if None in told:
                    lost["untranslated"] += 1
                    bad.add(key)
                    continue
                translated[field] = "".join(text for text in told if text is not None)
                only = [index for index, part in enumerate(parts) if part.is_piece]
                original = " ".join(parts[index].text for index in only)
                seen = (
                    quality(original, " ".join(str(told[index]) for index in only), target, detect)
                    if only
                    else Quality(1.0, None, 0.0, 1.0)  # all code: it is what it was
                )
                if seen.quality < work["minimum"]:
                    lost["below_minimum"] += 1
                    bad.add(key)
                looks.append(
                    {
                        "id": translated["id"],
                        "source_prompt_id": key,
                        "language": target,
                        "field": field,
                        **seen._asdict(),
                    }
                )
            made.append(translated)
    every = [row for row in [*rows, *made] if row["source_prompt_id"] not in bad]
    order = {key: number for number, key in enumerate(spoken_by)}
    every.sort(key=lambda row: order[row["source_prompt_id"]])  # stable: languages of a prompt stand together
    kept = [{**row, "source": work["name"]} for row in every]
    for look in looks:
        look["kept"] = look["source_prompt_id"] not in bad
    counts = {
        "translated_rows": len(made),
        "untranslated_texts": lost["untranslated"],
        "texts_below_minimum": lost["below_minimum"],
        "prompts_left_out": len(bad),
    }
    return Derived(
        pa.Table.from_pylist(kept, schema=records.ROWS),
        pa.Table.from_pylist(looks, schema=records.TRANSLATIONS),
        counts,
    )


def _languages(rows: Iterable[dict[str, Any]]) -> list[str]:
    return list(dict.fromkeys(row["language"] for row in rows))


def _texts(row: dict[str, Any]) -> list[str]:
    return [row[field] for field in FIELDS if row[field] is not None]


def _detector(languages: set[str]) -> Callable[[str], str | None] | None:
    """Tells these languages apart, if it knows them all; else the language of a translation is not looked at."""
    try:
        return detector(sorted(languages))
    except UserError:
        return None
