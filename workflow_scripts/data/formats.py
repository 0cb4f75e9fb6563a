"""Published datasets as rows of one schema: an entry of `FORMATS` each, with its configs, columns and quirks.

Every source prompt gets its split here, by a hash of its id, before anything is derived from it: translations and
syntheses inherit both, so what is held out in one language is held out in all.
"""

import ast
import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import pyarrow as pa

from workflow_scripts.base import hashing, hub, records
from workflow_scripts.base.errors import UserError

SHOWN = 3  # ids in an error
BATCH = 2000  # rows that are Python objects at a time


class Part(NamedTuple):
    """Rows of one language in one split of a dataset.

    Attributes:
        config: the dataset's.
        split: the dataset's.
        where: column -> value of these rows, where a split holds several languages.
        place: our split, unless the config gives shares.
        rows: how many the published dataset has, for a quote before it is at hand; None where that is not known.
    """

    config: str | None
    split: str
    where: Mapping[str, str] = {}
    place: str = "test"
    rows: int | None = None


class Problem(ValueError):
    """A column of a row holds what it should not."""

    def __init__(self, column: str, what: str) -> None:
        super().__init__(f"column '{column}' {what}")


Raw = dict[str, Any]


@dataclass(frozen=True)
class Format:
    """A published dataset.

    Attributes:
        licence: of its card.
        languages: ISO 639-1 codes -> where their rows are.
        columns: those that are read -> what they hold, a key of `HOLDS`.
        row: from a row of the dataset and its language to fields of records.ROWS, with `key` for the source prompt, or
            to the reason why the row is left out.
        is_joined: whether every language has the same source prompts.
    """

    licence: str
    languages: Mapping[str, tuple[Part, ...]]
    columns: Mapping[str, str]
    row: Callable[[Raw, str], Raw | str]
    is_joined: bool = False


def rows(work: dict[str, Any]) -> tuple[pa.Table, dict[str, Any]]:
    """The rows of a dataset.

    Args:
        work: dataset, revision, format, languages, splits, split_seed, limit, seed, without, name; see
            config.DatasetSource.

    Returns:
        Rows of schema records.ROWS, source prompts in the order of the seed, and counts: rows read by language, rows
        left out by reason.

    Raises:
        UserError: the dataset is not to be had, or is not what its format says; names the dataset, column and row.
    """
    form, name = FORMATS[work["format"]], work["dataset"]
    found: list[Raw] = []
    left_out: Counter[str] = Counter()
    read = dict.fromkeys(work["languages"], 0)
    tables: dict[tuple[str | None, str], pa.Table] = {}
    keys: dict[str, set[str]] = {language: set() for language in work["languages"]}
    seen: set[str] = set()
    for language in work["languages"]:
        for part in form.languages[language]:
            at = (part.config, part.split)
            if at not in tables:
                tables[at] = hub.rows(name, work["revision"], *at)
            for number, raw in _records(name, tables[at], form, part):
                read[language] += 1
                try:
                    row = form.row(raw, language)
                except Problem as problem:
                    raise _wrong(name, part, number, problem) from None
                if isinstance(row, str):
                    left_out[row] += 1
                    continue
                key = str(row.pop("key"))
                keys[language].add(key)
                row = {"id": f"{key}-{language}", **row, "source_prompt_id": key, "language": language}
                if row["id"] in seen:
                    left_out["duplicate"] += 1
                    continue
                seen.add(row["id"])
                found.append({**row, "source": work["name"], "split": _split(work, key) or part.place})
        if not keys[language]:
            raise UserError(f"{name}: has no rows in '{language}'; take it out of the source's `languages`")
    if form.is_joined:
        _check_joined(name, keys)
    if unknown := set(work["without"]) - {key for known in keys.values() for key in known}:
        raise UserError(f"sources.{work['name']}.without: '{min(unknown)}' is no source prompt; take it out")
    chosen = [row for row in found if row["split"] != LEFT_OUT and row["source_prompt_id"] not in work["without"]]
    left_out["chosen by config"] = len(found) - len(chosen)
    kept = _draw(work, chosen)
    left_out["over the limit"] = len(chosen) - len(kept)
    table = pa.Table.from_pylist(kept, schema=records.ROWS)
    return table, {"read": read, "left_out": {reason: count for reason, count in left_out.items() if count}}


LEFT_OUT = "left out"


def _split(work: dict[str, Any], key: str) -> str | None:
    """The split of a source prompt, where the config gives shares; it moves as little as can be when they change."""
    if not work["splits"]:
        return None
    at, reached = int(_rank(work["split_seed"], key), 16) / 16**64, 0.0
    for split in ("train", "validation", "test"):
        reached += work["splits"].get(split, 0)
        if at < reached:
            return split
    return LEFT_OUT


def _draw(work: dict[str, Any], found: list[Raw]) -> list[Raw]:
    """Rows in the order of the seed, the same for all languages; of each split and language the first source prompts.

    So a smaller draw is part of a larger one, and draws of languages that share prompts are of the same prompts.
    """
    order = {language: place for place, language in enumerate(work["languages"])}
    rank = {key: _rank(work["seed"], key) for key in {row["source_prompt_id"] for row in found}}
    found = sorted(found, key=lambda row: (rank[row["source_prompt_id"]], order[row["language"]], row["id"]))
    if work["limit"] is None:
        return found
    taken: dict[tuple[str, str], dict[str, None]] = {}
    kept = []
    for row in found:
        keys = taken.setdefault((row["split"], row["language"]), {})
        if row["source_prompt_id"] in keys or len(keys) < work["limit"]:
            keys[row["source_prompt_id"]] = None
            kept.append(row)
    return kept


def _rank(seed: int, key: str) -> str:
    return hashlib.sha256(f"{seed}\n{key}".encode()).hexdigest()


def _records(name: str, table: pa.Table, form: Format, part: Part) -> Iterator[tuple[int, Raw]]:
    """The rows of a part with their numbers in the split, from 1; every column that is read is checked."""
    needed = [*form.columns, *part.where]
    if missing := [column for column in needed if column not in table.column_names]:
        where = f"{part.config}, {part.split}" if part.config else part.split
        has = ", ".join(table.column_names)
        raise UserError(f"{name} ({where}): has no column '{missing[0]}' (it has {has}); mend `revision` or `format`")
    number = 0
    for batch in table.select(list(dict.fromkeys(needed))).to_batches(max_chunksize=BATCH):
        for raw in batch.to_pylist():
            number += 1
            if all(raw[column] == value for column, value in part.where.items()):
                for column, holds in form.columns.items():
                    if not HOLDS[holds](raw[column]):
                        shown = repr(raw[column])
                        what = f"is not {holds}, but {shown if len(shown) <= 40 else f'{shown[:37]}...'}"
                        raise _wrong(name, part, number, Problem(column, what))
                yield number, raw


def _wrong(name: str, part: Part, number: int, problem: Problem) -> UserError:
    where = f"{part.config}, {part.split}" if part.config else part.split
    return UserError(f"{name} ({where}): row {number}: {problem}; mend `revision` or `format`, or the files")


def _check_joined(name: str, keys: dict[str, set[str]]) -> None:
    first, *others = keys
    for language in others:
        if lone := sorted(keys[first] ^ keys[language]):
            raise UserError(
                f"{name}: prompts in '{first}' and '{language}' do not match by id "
                f"({len(lone)} stand alone, such as {', '.join(lone[:SHOWN])}); pin a revision where they do"
            )


def _is_messages(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(turn, dict) and isinstance(turn.get("role"), str) and isinstance(turn.get("content"), str | None)
        for turn in value
    )


HOLDS: dict[str, Callable[[Any], bool]] = {
    "text": lambda value: isinstance(value, str | None),  # a row without text is left out, and counted
    "an id": lambda value: isinstance(value, str | int) and value != "",
    "a number": lambda value: isinstance(value, int | float),
    "a list of messages": _is_messages,
}


# UltraFeedback Binarized


def _ultrafeedback(raw: Raw, _: str) -> Raw | str:
    if any([turn["role"] for turn in raw[side]] != ["user", "assistant"] for side in ("chosen", "rejected")):
        return "multi-turn"
    prompt, completion, rejected = raw["prompt"], raw["chosen"][1]["content"], raw["rejected"][1]["content"]
    if not all((text or "").strip() for text in (prompt, completion, rejected)):
        return "empty"
    if raw["score_chosen"] == raw["score_rejected"]:
        return "tie"  # which of the two is called chosen means nothing
    return {"key": raw["prompt_id"], "prompt": prompt, "completion": completion, "rejected": rejected}


# Aya Red-teaming

CATEGORIES = (
    "Bullying & Harassment",
    "Discrimination & Injustice",
    "Graphic Material",
    "Harms of Representation Allocation & Quality of Service",
    "Hate Speech",
    "Non-consensual sexual content",
    "Profanity",
    "Self-harm",
    "Violence, threats & incitement",
)


def _spelling(category: str) -> str:
    return " ".join(word for word in re.findall(r"\w+", category.casefold()) if word != "and")


_SPELLINGS = {_spelling(category): category for category in CATEGORIES}


def categories(told: str | None) -> list[str]:
    """Harm categories from a list in a string, in the card's spelling; one that the card does not have stays.

    >>> categories('["Violence, Threats and Incitement", "hate speech"]')
    ['Violence, threats & incitement', 'Hate Speech']

    Raises:
        Problem: it is no list of texts, as JSON or as Python writes it.
    """
    try:
        listed = json.loads(told or "[]")
    except ValueError:
        try:
            listed = ast.literal_eval(told or "")
        except (ValueError, SyntaxError):
            listed = None
    if not isinstance(listed, list) or not all(isinstance(category, str) for category in listed):
        raise Problem("harm_category", f"is no list of texts, but {told!r}")
    return list(dict.fromkeys(_SPELLINGS.get(_spelling(category), category.strip()) for category in listed))


def _redteam(raw: Raw, language: str) -> Raw | str:
    prompt = (raw["prompt"] or "").strip()
    if not prompt:
        return "empty"
    # Native prompts have no ids; two that say the same in English are one source prompt, in whatever language.
    english = prompt if language == "en" else (raw["literal_translation"] or "").strip() or prompt
    scope = (raw["global_or_local"] or "").strip().casefold()
    return {
        "key": hashing.of_json(" ".join(re.findall(r"\w+", english.casefold())))[:16],
        "id": f"{hashing.of_json(prompt)[:16]}-{language}",
        "prompt": prompt,
        "categories": categories(raw["harm_category"]),
        "scope": scope if scope in ("global", "local") else None,
    }


# Multilingual Dolly-200, of the Aya Evaluation Suite


def _dolly(raw: Raw, _: str) -> Raw | str:
    if not (raw["inputs"] or "").strip():
        return "empty"
    return {"key": raw["id"], "prompt": raw["inputs"], "completion": (raw["targets"] or "").strip() or None}


# The script matters: some languages stand in several, of which one is usual.
_DOLLY_EDITED = {"ar": "arb Arab", "fr": "fra Latn", "hi": "hin Deva", "ru": "rus Cyrl", "es": "spa Latn"}
_DOLLY_TRANSLATED = {
    "en": "eng Latn", "de": "deu Latn", "it": "ita Latn", "ja": "jpn Jpan", "ko": "kor Hang", "nl": "nld Latn",
    "pl": "pol Latn", "pt": "por Latn", "tr": "tur Latn", "uk": "ukr Cyrl", "vi": "vie Latn",
}  # fmt: skip


def _dolly_parts(config: str, tags: dict[str, str]) -> dict[str, tuple[Part, ...]]:
    pairs = {language: tag.split() for language, tag in tags.items()}
    return {
        language: (Part(config, "test", {"language": code, "script": script}, rows=200),)
        for language, (code, script) in pairs.items()
    }


# PolyGuardPrompts


def _is_harmful(raw: Raw, column: str) -> bool | None:
    """What people say; None where they do not."""
    told = (raw[column] or "").strip().casefold()
    if told not in ("", "harmful", "unharmful"):
        raise Problem(column, f"is neither harmful nor unharmful, but {told!r}")
    return None if told == "" else told == "harmful"


def _polyguard(raw: Raw, _: str) -> Raw | str:
    is_harmful = _is_harmful(raw, "response_harm_label")
    if not (raw["prompt"] or "").strip():
        return "empty"
    if is_harmful is None or not (raw["response"] or "").strip():
        return "unlabelled"
    label = "harmful" if is_harmful else "harmless"
    return {"key": raw["id"], "prompt": raw["prompt"], "completion": raw["response"], "label": label}


def _polyguard_benign(raw: Raw, _: str) -> Raw | str:
    is_harmful = _is_harmful(raw, "prompt_harm_label")
    if not (raw["prompt"] or "").strip():
        return "empty"
    if is_harmful is None:
        return "unlabelled"
    return "harmful" if is_harmful else {"key": raw["id"], "prompt": raw["prompt"]}


_POLYGUARD = {
    "ar": "Arabic", "cs": "Czech", "de": "German", "en": "English", "es": "Spanish", "fr": "French", "hi": "Hindi",
    "it": "Italian", "ja": "Japanese", "ko": "Korean", "nl": "Dutch", "pl": "Polish", "pt": "Portuguese",
    "ru": "Russian", "sv": "Swedish", "th": "Thai", "zh": "Chinese",
}  # fmt: skip
_POLYGUARD_PARTS = {
    language: (Part(None, "test", {"language": name}, rows=1725),) for language, name in _POLYGUARD.items()
}

FORMATS: dict[str, Format] = {
    # HuggingFaceH4/ultrafeedback_binarized: of its six splits those with preferences
    "ultrafeedback_binarized": Format(
        licence="MIT",
        languages={"en": (Part(None, "train_prefs", {}, "train", 61135), Part(None, "test_prefs", {}, "test", 2000))},
        columns={
            "prompt": "text",
            "prompt_id": "an id",
            "chosen": "a list of messages",
            "rejected": "a list of messages",
            "score_chosen": "a number",
            "score_rejected": "a number",
        },
        row=_ultrafeedback,
    ),
    # CohereLabs/aya_redteaming: a split per language
    "aya_redteaming": Format(
        licence="Apache-2.0",
        languages={
            language: (Part(None, split, rows=count),)
            for language, split, count in (
                ("ar", "arabic", 900), ("en", "english", 987), ("es", "spanish", 782), ("fr", "french", 813),
                ("hi", "hindi", 915), ("ru", "russian", 1007), ("sr", "serbian", 1006), ("tl", "filipino", 1009),
            )
        },
        columns={"prompt": "text", "harm_category": "text", "global_or_local": "text", "literal_translation": "text"},
        row=_redteam,
    ),
    # CohereLabs/aya_evaluation_suite: edited by people where it is, else translated by machine, as English is named
    "dolly_200": Format(
        licence="Apache-2.0",
        languages=_dolly_parts("dolly_human_edited", {**_DOLLY_EDITED, "sr": "srp Cyrl"})
        | _dolly_parts("dolly_machine_translated", _DOLLY_TRANSLATED),
        columns={"id": "an id", "inputs": "text", "targets": "text"},
        row=_dolly,
        is_joined=True,
    ),
    # ToxicityPrompts/PolyGuardPrompts: answers with labels, to measure judges ...
    "polyguard": Format(
        licence="CC-BY-4.0",
        languages=_POLYGUARD_PARTS,
        columns={"id": "an id", "prompt": "text", "response": "text", "response_harm_label": "text"},
        row=_polyguard,
    ),
    # ... and harmless prompts, to see who refuses too much
    "polyguard_benign": Format(
        licence="CC-BY-4.0",
        languages=_POLYGUARD_PARTS,
        columns={"id": "an id", "prompt": "text", "prompt_harm_label": "text"},
        row=_polyguard_benign,
    ),
}  # fmt: skip
