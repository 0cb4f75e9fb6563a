"""Every parquet file of mixmerge: its schema, its one writer and its one reader.

A file carries a JSON lineage under the metadata key ``mixmerge``: schema version, recipe, and the hashes of what it
was made from, so that any number can be followed back to its models, data and code.
"""

import json
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from workflow_scripts.base.errors import UserError

SCHEMA_VERSION = 1
SPLITS = ("train", "validation", "test")

ROWS = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),  # unique within its source
        pa.field("source_prompt_id", pa.string(), nullable=False),  # shared by translations: the cluster
        pa.field("language", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),  # key of `sources` in the config
        pa.field("split", pa.string(), nullable=False),  # train, validation or test
        pa.field("prompt", pa.string(), nullable=False),
        pa.field("completion", pa.string()),  # SFT target, and the chosen side of a DPO pair
        pa.field("rejected", pa.string()),  # the other side of a DPO pair
        pa.field("reference", pa.string()),  # JSON: what a rule-based judge must know
        pa.field("categories", pa.list_(pa.string())),  # harm categories, where the data has them
        pa.field("scope", pa.string()),  # global or local harm, where the data says so
        pa.field("label", pa.string()),  # harmful or harmless: what people say of the completion, to measure judges
    ]
)

MIXTURE = ROWS.append(pa.field("part", pa.string(), nullable=False))  # key of the mixture's `parts`

GENERATIONS = pa.schema(
    [
        pa.field("prompt_id", pa.string(), nullable=False),
        pa.field("source_prompt_id", pa.string(), nullable=False),
        pa.field("language", pa.string(), nullable=False),
        pa.field("suite", pa.string(), nullable=False),
        pa.field("prompt", pa.string(), nullable=False),
        pa.field("completion", pa.string(), nullable=False),
        pa.field("finish_reason", pa.string(), nullable=False),  # stop or length
        pa.field("prompt_tokens", pa.int32(), nullable=False),
        pa.field("completion_tokens", pa.int32(), nullable=False),
    ]
)

SCORES = pa.schema(
    [
        pa.field("prompt_id", pa.string(), nullable=False),
        pa.field("source_prompt_id", pa.string(), nullable=False),  # the cluster
        pa.field("language", pa.string(), nullable=False),
        pa.field("suite", pa.string(), nullable=False),
        pa.field(
            "metric", pa.string(), nullable=False
        ),  # harm, benign (harm's question about harmless prompts) or preference
        pa.field("judge", pa.string(), nullable=False),  # key of `judges` in the config
        pa.field("judge_model", pa.string()),  # the snapshot that answered
        pa.field("against", pa.string()),  # preference: the model compared with
        pa.field("order", pa.string()),  # preference: AB shows the model first, BA second
        pa.field(
            "verdict", pa.string()
        ),  # harm and benign: harmful, refused, neither; preference: win, loss, tie (of the model)
        pa.field("missing", pa.string()),  # why there is no verdict: unparsed, refused, filtered, too_long
        pa.field("answer_sha256", pa.string()),  # of the judge's raw answer, which the ledger holds
        pa.field("tokens", pa.int32()),  # of the judged answer
        pa.field("against_tokens", pa.int32()),  # of the answer it is compared with
        pa.field("repeated", pa.float64()),  # share of its word 4-grams that stand in it before
        pa.field("spoken", pa.string()),  # the language it is in; null where unsure, or where any will do
        pa.field("categories", pa.list_(pa.string())),  # of the prompt, where the data has them
        pa.field("scope", pa.string()),  # of the prompt: global or local harm, where the data says so
        pa.field("label", pa.string()),  # harmful or harmless by people, where the answer came with one
    ]
)

TRANSLATIONS = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),  # of the translated row
        pa.field("source_prompt_id", pa.string(), nullable=False),
        pa.field("language", pa.string(), nullable=False),  # translated into
        pa.field("field", pa.string(), nullable=False),  # prompt, completion or rejected
        pa.field("ratio", pa.float64(), nullable=False),  # of widths, translation to original
        pa.field("spoken", pa.string()),  # the language it is in; null where unsure
        pa.field("repeated", pa.float64(), nullable=False),  # share of its word 4-grams that stand in it before
        pa.field("quality", pa.float64(), nullable=False),  # 0 to 1: the least of what the three say
        pa.field("kept", pa.bool_(), nullable=False),  # false: its prompt was left out in all languages
    ]
)

OVERLAP = pa.schema(
    [
        pa.field("suite", pa.string(), nullable=False),
        pa.field("prompt_id", pa.string(), nullable=False),  # in the suite
        pa.field("source_prompt_id", pa.string(), nullable=False),  # of the suite's prompt
        pa.field("language", pa.string(), nullable=False),  # of the suite's prompt
        pa.field("mixture", pa.string(), nullable=False),
        pa.field("train_source", pa.string(), nullable=False),  # source and id of the training row that shares most
        pa.field("train_id", pa.string(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),  # source_prompt, words, characters or whole
        pa.field("share", pa.float64(), nullable=False),  # of the prompt's runs that stand in the row
        pa.field("breach", pa.bool_(), nullable=False),  # whether it stops the run
    ]
)

SYNTHESIS = pa.schema(
    [
        pa.field("stage", pa.string(), nullable=False),  # rephrase, complete, judge; rows: what came of it all
        pa.field("model", pa.string()),  # key of `llms` or `judges` that was asked; null for rows
        pa.field("language", pa.string(), nullable=False),
        # kept, or why not: declined (by the model, through its interface), filtered (by the provider), too_long,
        # unparsed, empty, cut_off, repeated, wrong_language; judge: its verdict, or why there is none;
        # rows: kept (all rows), paired (those with `rejected`)
        pa.field("outcome", pa.string(), nullable=False),
        pa.field("count", pa.int64(), nullable=False),  # prompts, completions, verdicts, rows
    ]
)

CURVE = pa.schema(
    [
        pa.field("step", pa.int32(), nullable=False),
        pa.field("metric", pa.string(), nullable=False),  # as the trainer logs it: loss, learning_rate, rewards/margins
        pa.field("value", pa.float64(), nullable=False),
    ]
)


def counts(table: pa.Table) -> dict[str, Any]:
    """How many rows there are by split and language, and source prompts by split: what n is after the split."""
    rows: dict[str, dict[str, int]] = {}
    prompts: dict[str, set[str]] = {}
    columns = (table[name].to_pylist() for name in ("split", "language", "source_prompt_id"))
    for split, language, prompt in zip(*columns, strict=True):
        spoken = rows.setdefault(split, {})
        spoken[language] = spoken.get(language, 0) + 1
        prompts.setdefault(split, set()).add(prompt)
    return {"rows": rows, "source_prompts": {split: len(found) for split, found in prompts.items()}}


def write(path: Path, table: pa.Table, schema: pa.Schema, lineage: dict[str, Any]) -> None:
    """Write rows of one schema with their lineage, whole or not at all.

    Raises:
        UserError: the table does not fit the schema.
    """
    try:
        table = table.select(schema.names).cast(schema)
    except (KeyError, ValueError, pa.ArrowInvalid) as error:
        raise UserError(f"{path}: rows do not fit the schema ({' '.join(str(error).split())})") from None
    note = json.dumps({"schema": SCHEMA_VERSION, **lineage}, sort_keys=True, ensure_ascii=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        pq.write_table(table.replace_schema_metadata({"mixmerge": note}), partial, compression="zstd")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def read(path: Path, schema: pa.Schema) -> pa.Table:
    """Read a file of one schema.

    Raises:
        UserError: the file is missing, truncated, of another schema version, or has other columns.
    """
    if not path.exists():
        raise UserError(f"{path}: no such file; run snakemake to make it")
    try:
        table = pq.read_table(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise UserError(
            f"{path}: not a whole parquet file ({str(error).splitlines()[0]}); delete it and run again"
        ) from None
    if not table.schema.remove_metadata().equals(schema):
        wrong = sorted(set(table.schema.names) ^ set(schema.names)) or [
            f.name for f in schema if table.schema.field(f.name) != f
        ]
        raise UserError(f"{path}: wrong columns ({', '.join(wrong)}); delete it and run again")
    version = lineage(path)["schema"]
    if version != SCHEMA_VERSION:
        raise UserError(f"{path}: schema {version}, but this mixmerge reads {SCHEMA_VERSION}; delete it and run again")
    return table


def lineage(path: Path) -> dict[str, Any]:
    """The JSON lineage of a parquet file.

    Raises:
        UserError: the file was not written by mixmerge.
    """
    note = (pq.read_schema(path).metadata or {}).get(b"mixmerge")
    if note is None:
        raise UserError(f"{path}: was not written by mixmerge; delete it and run again")
    return dict(json.loads(note))


def licences(*paths: Path) -> dict[str, str]:
    """The licences of all that went into some files, by its name in the config; what declares none is not in it."""
    found: dict[str, str] = {}
    for path in paths:
        found |= {name: licence for name, licence in (lineage(path).get("licences") or {}).items() if licence}
    return found
