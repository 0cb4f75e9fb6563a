"""Command: the rows of a source, from the miniature's world or from a file."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet as pq

from workflow_scripts.base import hashing, records
from workflow_scripts.base.errors import UserError
from workflow_scripts.base.job import Job
from workflow_scripts.miniature import world
from workflow_scripts.store.outputs import write_rows

BLOCK = 1 << 26  # bytes that a row of text may have


def rows(work: dict[str, Any], file: Path | None) -> pa.Table:
    """The rows of a source, of schema records.ROWS.

    Raises:
        UserError: the file cannot be read, lacks a column, or has a row without prompt, language, split or an id of its
            own; rows are counted from 1, without the header.
    """
    if file is None:
        return world.rows(work["world"], work["languages"], work["per_language"], work["seed"], work["name"])
    table = _read(file, work["columns"])
    columns = {field.name: _column(file, table, field, work) for field in records.ROWS}
    for name, what in (("prompt", "text"), ("language", "text"), ("split", f"one of {', '.join(records.SPLITS)}")):
        for number, value in enumerate(columns[name].to_pylist(), 1):
            if not (value or "").strip() or (name == "split" and value not in records.SPLITS):
                raise UserError(f"{file}: row {number} has {value!r} as {name}; give it {what}, or remove the row")
    ids = Counter(columns["id"].to_pylist())
    if twice := [name for name, count in ids.items() if count > 1 or name is None]:
        raise UserError(f"{file}: id {twice[0]!r} stands in {ids[twice[0]]} rows; give each its own, or none an id")
    return pa.table(columns, schema=records.ROWS).filter(
        pc.is_in(columns["language"], pa.array(work["languages"], pa.string()))
    )


def _read(file: Path, named: dict[str, str]) -> pa.Table:
    """The columns of a file that we know, by our names; text stays text, even if it looks like a number or a date."""
    types = pa.schema(
        [field.with_name(named.get(field.name, field.name)).with_nullable(True) for field in records.ROWS]
    )
    try:
        table = READERS[file.suffix](file, types)
    except KeyError:
        raise UserError(f"{file}: unknown kind of file; give one of {', '.join(READERS)}") from None
    except FileNotFoundError:
        raise UserError(f"{file}: no such file; give its path from the working directory") from None
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{file}: {' '.join(str(error).split())}; fix the file") from None
    if twice := [name for name, count in Counter(table.column_names).items() if count > 1]:
        raise UserError(f"{file}: two columns are called '{twice[0]}'; rename one")
    has = [name for name in table.column_names if table[name].null_count < len(table)]
    for ours, theirs in (("prompt", "prompt"), ("language", "language"), *named.items()):
        if named.get(ours, theirs) not in has:
            raise UserError(
                f"{file}: no column '{named.get(ours, theirs)}'; name it under `columns` (it has {', '.join(has)})"
            )
    return pa.table(
        {field.name: table[theirs] for field, theirs in zip(records.ROWS, types.names, strict=True) if theirs in has}
    )


def _read_json(file: Path, types: pa.Schema) -> pa.Table:
    known = pyarrow.json.ParseOptions(explicit_schema=types)
    return pyarrow.json.read_json(file, pyarrow.json.ReadOptions(block_size=BLOCK), known)


def _read_csv(file: Path, types: pa.Schema) -> pa.Table:
    known = pyarrow.csv.ConvertOptions(column_types={field.name: pa.string() for field in types})
    lines = pyarrow.csv.ParseOptions(newlines_in_values=True)
    return pyarrow.csv.read_csv(file, pyarrow.csv.ReadOptions(block_size=BLOCK), lines, known)


READERS: dict[str, Callable[[Path, pa.Schema], pa.Table]] = {
    ".jsonl": _read_json,
    ".csv": _read_csv,
    ".parquet": lambda file, _: pq.read_table(file),
}


def _column(file: Path, table: pa.Table, field: pa.Field, work: dict[str, Any]) -> pa.ChunkedArray | pa.Array:
    """A column of the file, or what stands for it where the file has none."""
    default = {"source": work["name"], "split": work["split"]}.get(field.name)
    if field.name in table.column_names and field.name != "source":
        try:
            column = table[field.name].cast(field.type)
        except pa.ArrowException as error:
            raise UserError(f"{file}: column '{field.name}' is not {field.type} ({error}); fix it") from None
        if field.name == "label":
            column = pa.array([work["labels"].get(value, value) for value in column.to_pylist()], pa.string())
        return column if default is None else pc.fill_null(column, default)
    if field.name in {"id", "source_prompt_id"}:  # a prompt without an id is its own, and stays so when others move
        pairs = zip(table["language"].to_pylist(), table["prompt"].to_pylist(), strict=True)
        names = [hashing.of_json(pair)[:16] for pair in pairs]
        return pa.array(_numbered(names) if field.name == "id" else names, pa.string())
    return pa.array([default] * len(table), field.type)


def _numbered(names: list[str]) -> list[str]:
    """Tell rows of one name apart by their order."""
    seen: Counter[str] = Counter()
    numbered = []
    for name in names:
        seen[name] += 1
        numbered.append(name if seen[name] == 1 else f"{name}-{seen[name]}")
    return numbered


def make(job: Job) -> None:
    """Make what a job is about."""
    file = job.files.get("file")
    table = rows(job.settings, file[0] if file else None)
    licences = {job.settings["name"]: job.recipe.inputs["licence"]}
    write_rows(job, job.output("rows"), table, records.ROWS, licences=licences, counts=records.counts(table))
