"""Command: the rows of a source with their translations, and how good each of these looks."""

import json
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import pyarrow as pa

from workflow_scripts.base import records
from workflow_scripts.base.errors import UserError
from workflow_scripts.base.job import Job, Made
from workflow_scripts.base.text import detector, repeated
from workflow_scripts.data import translators
from workflow_scripts.data.segmentation import Part, cut
from workflow_scripts.data.translator import Piece, Translator
from workflow_scripts.store.outputs import write_rows

FIELDS = ("prompt", "completion", "rejected")


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
    is not recognised, as of a name, counts half.
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
    rank = {language: number for number, language in enumerate(dict.fromkeys([*work["order"], *_languages(rows)]))}
    pivot = {key: min(spoken, key=lambda language: rank[language]) for key, spoken in spoken_by.items()}
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
            translated = {**row, "id": f"{row['id']}.{target}", "language": target}
            for field in FIELDS:
                if row[field] is None:
                    continue
                parts = cuts[row[field]]
                texts = [known[Piece(p.text, row["language"], target)] if p.is_piece else p.text for p in parts]
                if None in texts:
                    lost["untranslated"] += 1
                    bad.add(key)
                    continue
                whole = [text for text in texts if text is not None]
                translated[field] = "".join(whole)
                pairs = [(part.text, text) for part, text in zip(parts, whole, strict=True) if part.is_piece]
                seen = Quality(1.0, None, 0.0, 1.0)  # all code: it is what it was
                if pairs:
                    originals, translations = (" ".join(side) for side in zip(*pairs, strict=True))
                    seen = quality(originals, translations, target, detect)
                if seen.quality < work["minimum"]:
                    lost["below_minimum"] += 1
                    bad.add(key)
                place = {"id": translated["id"], "source_prompt_id": key, "language": target, "field": field}
                looks.append({**place, **seen._asdict()})
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


def make(job: Job) -> Made:
    """Make what a job is about."""
    original, about = job.file("source"), job.recipe.inputs
    source = records.read(original, records.ROWS)
    translator = translators.start(job)
    made = derive(job.settings, source, translator)
    counts = {**made.counts, **records.counts(made.rows)}
    print(f"{job.settings['name']}: {json.dumps(counts)}")
    lineage = {
        "source": records.lineage(original)["rows"],
        "licences": records.licences(original) | {about["translator"]: about["licence"]},
        "counts": counts,
        "translations": translator.place,
    }
    write_rows(job, job.output("quality"), made.qualities, records.TRANSLATIONS, **lineage)
    write_rows(job, job.output("rows"), made.rows, records.ROWS, **lineage)
    return Made(usd=translator.usd)
