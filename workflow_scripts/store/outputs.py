"""How a command writes what it made: whole or not at all, with its recipe in it, and its checksum beside it."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa

from workflow_scripts.base import hashing, records
from workflow_scripts.base.job import RESULTS, Job
from workflow_scripts.store import checksums, finished_work


def write_rows(job: Job, path: Path, table: pa.Table, schema: pa.Schema, **lineage: Any) -> None:
    """Write rows of one schema; their lineage is the recipe, the content, and what else is known of their origin.

    Raises:
        UserError: the table does not fit the schema.
    """
    known = {"recipe": job.recipe._asdict(), "rows": hashing.of_table(table), **lineage}
    with checksums.recording(RESULTS, [path]):
        records.write(path, table, schema, known)


def write_json(job: Job, path: Path, **content: Any) -> None:
    """Write a small JSON file with the recipe in it."""
    text = json.dumps({"recipe": job.recipe._asdict(), **content}, indent=1, sort_keys=True, ensure_ascii=False)
    write_bytes(path, f"{text}\n".encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file that carries no recipe; the record beside it does."""
    with checksums.recording(RESULTS, [path]):
        finished_work.write_bytes(path, content)
