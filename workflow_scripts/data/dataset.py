"""Command: the rows of a published dataset in one schema, as its format says; see `formats`.

Every source prompt gets its split here, by a hash of its id, before anything is derived from it: translations and
syntheses inherit both, so what is held out in one language is held out in all.
"""

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from workflow_scripts.base import beside, hashing, hub, records
from workflow_scripts.base.errors import UserError
from workflow_scripts.base.job import Job
from workflow_scripts.data.formats import FORMATS
from workflow_scripts.data.formats._base import HOLDS, Format, Part, Problem, Raw
from workflow_scripts.store.outputs import write_rows

SHOWN = 3  # ids in an error
BATCH = 2000  # rows that are Python objects at a time
# What a format gives of a row; the rest is known from where the row stands.
GIVEN = ("key", "id", "prompt", "completion", "rejected", "reference", "categories", "scope", "label")
LEFT_OUT = "left out"  # the split of what no share of the config takes


def rows(work: dict[str, Any]) -> tuple[pa.Table, dict[str, Any]]:
    """The rows of a dataset.

    Args:
        work: dataset, revision, format, languages, splits, split_seed, limit, seed, without, name; see
            config.data.DatasetSource.

    Returns:
        Rows of schema records.ROWS, source prompts in the order of the seed, and counts: rows read by language, rows
        left out by reason.

    Raises:
        UserError: the dataset is not to be had, or is not what its format says; names the dataset, column and row.
    """
    form, own, name = FORMATS[work["format"]], FORMATS.own(work["format"]), work["dataset"]
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
                    _check_columns(raw, form)
                    row = form.row(raw, language)
                except Problem as problem:
                    what = f"row {number}: {problem}; fix `revision` or `format`, or the files"
                    raise UserError(f"{name} ({part}): {what}") from None
                except Exception as error:
                    if own is None:
                        raise
                    raise UserError(f"{name} ({part}): row {number}: {beside.raised(error, own)}; fix it") from None
                if own and (wrong := _wrong(row)):
                    raise UserError(f"{name} ({part}): row {number}: {own}: `row` gave {wrong}")
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


def _split(work: dict[str, Any], key: str) -> str | None:
    """The split of a source prompt, where the config gives shares; it moves as little as can be when they change."""
    if not work["splits"]:
        return None
    at, reached = int(hashing.rank(work["split_seed"], key), 16) / 16**64, 0.0
    for split in records.SPLITS:
        reached += work["splits"].get(split, 0)
        if at < reached:
            return split
    return LEFT_OUT


def _draw(work: dict[str, Any], found: list[Raw]) -> list[Raw]:
    """Rows in the order of the seed, the same for all languages; of each split and language the first source prompts.

    So a smaller draw is part of a larger one, and draws of languages that share prompts are of the same prompts.
    """
    order = {language: place for place, language in enumerate(work["languages"])}
    rank = {key: hashing.rank(work["seed"], key) for key in {row["source_prompt_id"] for row in found}}
    found = sorted(found, key=lambda row: (rank[row["source_prompt_id"]], order[row["language"]], row["id"]))
    if work["limit"] is None:
        return found
    taken: dict[tuple[str, str], set[str]] = {}
    kept = []
    for row in found:
        keys = taken.setdefault((row["split"], row["language"]), set())
        if row["source_prompt_id"] in keys or len(keys) < work["limit"]:
            keys.add(row["source_prompt_id"])
            kept.append(row)
    return kept


def _records(name: str, table: pa.Table, form: Format, part: Part) -> Iterator[tuple[int, Raw]]:
    """The rows of a part with their numbers in the split, from 1."""
    needed = [*form.columns, *part.where]
    if missing := [column for column in needed if column not in table.column_names]:
        has = ", ".join(table.column_names)
        raise UserError(f"{name} ({part}): has no column '{missing[0]}' (it has {has}); fix `revision` or `format`")
    number = 0
    for batch in table.select(list(dict.fromkeys(needed))).to_batches(max_chunksize=BATCH):
        for raw in batch.to_pylist():
            number += 1
            if all(raw[column] == value for column, value in part.where.items()):
                yield number, raw


def _check_columns(raw: Raw, form: Format) -> None:
    for column, holds in form.columns.items():
        if not HOLDS[holds](raw[column]):
            raise Problem(column, f"is not {holds}, but {_shown(raw[column])}")


def _shown(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= 40 else f"{shown[:37]}..."


def _wrong(row: Any) -> str | None:
    """What a user's format gave that is neither a row of ours nor the reason why one is left out; None if it is."""
    if isinstance(row, str):
        return None if row else "an empty text; say why the row is left out"
    if not isinstance(row, dict):
        return f"{type(row).__name__}; give a table of our columns, or the reason why the row is left out"
    if unknown := [column for column in row if column not in GIVEN]:
        return f"a column '{unknown[0]}'; ours are {', '.join(GIVEN)}"
    if row.get("key") in (None, ""):
        return "no `key`; give what tells source prompts apart, such as an id"
    if not isinstance(row.get("prompt"), str) or not row["prompt"].strip():
        return "no prompt; give the reason why such a row is left out, such as 'empty'"
    for column, value in row.items():
        if column == "categories" and value is not None:
            if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
                return f"{_shown(value)} as categories; give a list of texts"
        elif column != "key" and not isinstance(value, str | None):
            return f"{_shown(value)} as {column}; give text"
    return None


def _check_joined(name: str, keys: dict[str, set[str]]) -> None:
    first, *others = keys
    for language in others:
        if lone := sorted(keys[first] ^ keys[language]):
            raise UserError(
                f"{name}: prompts in '{first}' and '{language}' do not match by id "
                f"({len(lone)} stand alone, such as {', '.join(lone[:SHOWN])}); pin a revision where they do"
            )


def make(job: Job) -> None:
    """Make what a job is about."""
    name = job.settings["name"]
    table, counts = rows(job.settings)
    counts |= records.counts(table)
    print(f"{name}: {json.dumps(counts)}")
    licences = {name: job.recipe.inputs["licence"]}
    write_rows(job, job.output("rows"), table, records.ROWS, licences=licences, counts=counts)
