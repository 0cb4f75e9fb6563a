"""Content, canonically: of JSON values, of files, of tables."""

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa


def canonical(value: Any) -> str:
    """The one JSON text of a value: sorted keys, no spaces; order within lists counts."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def of_json(value: Any) -> str:
    """sha256 of a value's canonical text, in hex."""
    return of_text(canonical(value))


def of_text(text: str) -> str:
    """sha256 of a text, in hex."""
    return hashlib.sha256(text.encode()).hexdigest()


def of_file(path: Path) -> str:
    """sha256 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def rank(seed: int, text: str) -> str:
    """The place of a text in the order of a seed, which does not depend on what else is in that order."""
    return hashlib.sha256(f"{seed}\n{text}".encode()).hexdigest()


def of_table(table: "pa.Table") -> str:
    """sha256 of a table's values in order, in hex; how it was chunked or compressed does not count."""
    digest = hashlib.sha256(str(table.schema.remove_metadata()).encode())
    for row in table.to_pylist():
        digest.update(canonical(row).encode())
    return digest.hexdigest()
