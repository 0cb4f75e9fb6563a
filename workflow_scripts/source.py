"""Stage: the rows of a source, from the miniature's world or from a file."""

import argparse
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet as pq

from workflow_scripts import hashing, records, seals, world
from workflow_scripts.errors import UserError

READERS = {".jsonl": pyarrow.json.read_json, ".csv": pyarrow.csv.read_csv, ".parquet": pq.read_table}


def rows(work: dict[str, Any], file: Path | None) -> pa.Table:
    """The rows of a source, of schema records.ROWS.

    Raises:
        UserError: the file cannot be read, lacks a column, or has an empty prompt.
    """
    if file is None:
        return world.rows(work["world"], work["languages"], work["per_language"], work["seed"], work["name"])
    table = _read(file)
    table = table.rename_columns([{v: k for k, v in work["columns"].items()}.get(n, n) for n in table.column_names])
    for column in ("prompt", "language"):
        if column not in table.column_names:
            raise UserError(
                f"{file}: no column '{column}'; name it under `columns` (it has {', '.join(table.column_names)})"
            )
        if (empty := pc.index(pc.is_null(table[column]), True).as_py()) >= 0:
            raise UserError(f"{file}: row {empty + 1} has no {column}; fill it in or remove the row")
    columns = {field.name: _column(table, field, work) for field in records.ROWS}
    table = pa.table(columns, schema=records.ROWS)
    ids = table["id"].to_pylist()
    if len(set(ids)) < len(ids):
        twice = next(i for i in ids if ids.count(i) > 1)
        raise UserError(f"{file}: id '{twice}' stands in two rows; make ids unique, or leave the column out")
    return table.filter(pc.is_in(table["language"], pa.array(work["languages"])))


def _read(file: Path) -> pa.Table:
    if file.suffix not in READERS:
        raise UserError(f"{file}: unknown kind of file; give one of {', '.join(READERS)}")
    try:
        return READERS[file.suffix](file)
    except FileNotFoundError:
        raise UserError(f"{file}: no such file; give its path from the working directory") from None
    except pa.ArrowInvalid as error:
        raise UserError(f"{file}: {str(error).splitlines()[0]}") from None


def _column(table: pa.Table, field: pa.Field, work: dict[str, Any]) -> pa.ChunkedArray | pa.Array:
    """A column of the file, or what stands for it where the file has none."""
    if field.name in table.column_names:
        column = table[field.name].cast(field.type)
        if field.name == "label" and work["labels"]:
            return pa.array([work["labels"].get(value, value) for value in column.to_pylist()], field.type)
        return column
    if field.name in {"id", "source_prompt_id"}:  # a prompt without an id is its own
        pairs = zip(table["language"].to_pylist(), table["prompt"].to_pylist(), strict=True)
        return pa.array([hashing.of_json(pair)[:16] for pair in pairs])
    fixed = {"source": work["name"], "split": work["split"]}
    return pa.array([fixed.get(field.name)] * len(table), field.type)


def main(arguments: list[str]) -> None:
    """Command line of the stage."""
    parser = argparse.ArgumentParser(prog="source", description=__doc__)
    parser.add_argument("--recipe", type=json.loads, required=True)
    parser.add_argument("--file", type=Path)
    parser.add_argument("--output", type=Path, required=True)
    given = parser.parse_args(arguments)
    table = rows(given.recipe["work"], given.file)
    records.write(given.output, table, records.ROWS, {"recipe": given.recipe, "rows": hashing.of_table(table)})
    seals.seal(Path("results"), [given.output])


if __name__ == "__main__":
    from workflow_scripts import cli

    cli.run_this()
