"""A finished experiment, laid down as Snakemake and the stages would leave it, without any work."""

import json
from base64 import urlsafe_b64encode
from collections.abc import Collection
from pathlib import Path

import pyarrow as pa

from workflow_scripts.base import hashing, records
from workflow_scripts.base.job import RESULTS
from workflow_scripts.experiment.artifacts import Artifact, Artifacts
from workflow_scripts.models import manifest

PROVENANCE = RESULTS / ".provenance"


def finish(found: Artifacts, stages: Collection[str] = (), recorded: bool = True, **made: float) -> None:
    """Lay down artifacts in the working directory, as far as plans look at them.

    Args:
        found: all artifacts of an experiment.
        stages: names of the stages whose artifacts are made; none: all.
        recorded: whether Snakemake has a record of them.
        made: what is written beside each of how it was made, such as `seconds` and `usd`.
    """
    for artifact in found.all:
        if not stages or artifact.stage.name in stages:
            for path in (path for paths in artifact.outputs.values() for path in paths):
                write(path, artifact)
                if recorded:
                    record(path, artifact.params)
            artifact.record.parent.mkdir(parents=True, exist_ok=True)
            how = {"seconds": 1.0, "usd": 0.0, "recipe": artifact.recipe._asdict(), **made}
            artifact.record.write_text(json.dumps(how))


def write(path: Path, artifact: Artifact) -> None:
    """Lay down a file of an artifact."""
    path.parent.mkdir(parents=True, exist_ok=True)
    recipe = artifact.recipe._asdict()
    if path.suffix == ".parquet":
        table, schema = (prompts(20), records.ROWS) if artifact.stage.name == "suite" else (None, records.CURVE)
        records.write(path, table or schema.empty_table(), schema, {"recipe": recipe})
    elif path.suffix == ".json":
        known = {"model": hashing.of_text(str(path)), "schema": manifest.SCHEMA_VERSION, "store": "0" * 64}
        path.write_text(json.dumps({**known, "recipe": recipe, "batches": []}))
    else:
        path.write_text("made")


def record(path: Path, params: dict[str, str]) -> None:
    """Write down, as Snakemake does, by which params a file was made."""
    PROVENANCE.mkdir(exist_ok=True)
    name = urlsafe_b64encode(str(path).encode()).decode()
    (PROVENANCE / name).write_text(json.dumps({"params": [repr(text) for text in params.values()]}))


def prompts(count: int) -> pa.Table:
    """Rows of a suite."""
    names = [field.name for field in records.ROWS if not field.nullable]
    return pa.Table.from_pylist([{name: str(n) for name in names} for n in range(count)], records.ROWS)
