"""Command: the rows of a mixture, drawn from sources in stated fractions; and which of them a training sees."""

import hashlib
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from workflow_scripts.base import hashing, records
from workflow_scripts.base.errors import UserError
from workflow_scripts.base.job import Job
from workflow_scripts.data import allocation
from workflow_scripts.store.outputs import write_rows


def draw(work: dict[str, Any], sources: dict[str, pa.Table]) -> pa.Table:
    """Draw a mixture: for each language and part, the first rows of the source in a seeded order.

    The order does not depend on how many rows are drawn, so draws are nested; the rows of a language do not depend on
    the other languages.

    Returns:
        Rows of schema records.MIXTURE, parts and languages mingled, in the order of the draw within each.

    Raises:
        UserError: a source has too few rows.
    """
    chosen = []
    for part, count in allocation.allocate(work["per_language"], dict(work["parts"])).items():
        pool = sources[part].filter(pc.equal(sources[part]["split"], "train"))
        for language in work["languages"]:
            rows = pool.filter(pc.equal(pool["language"], language)).to_pylist()
            if len(rows) < count:
                raise UserError(
                    f"mixture: needs {count} train rows in {language} from source '{part}', which has {len(rows)}; "
                    "lower per_language or give the source more rows"
                )
            ranked = sorted((hashing.rank(work["seed"], row["id"]), index) for index, row in enumerate(rows))[:count]
            chosen += [(rank, {**rows[index], "part": part}) for rank, index in ranked]
    if not chosen:
        raise UserError("mixture: has no rows; raise per_language")
    return pa.Table.from_pylist([row for _, row in sorted(chosen, key=lambda pair: pair[0])], schema=records.MIXTURE)


def select(
    mixture: pa.Table, languages: list[str] | None, parts: list[str] | None, per_language: dict[str, int] | None
) -> pa.Table:
    """The rows of a mixture that a training sees: some languages, some parts, the first rows of each in each."""
    if languages is not None:
        mixture = mixture.filter(pc.is_in(mixture["language"], pa.array(languages)))
    if parts is not None:
        mixture = mixture.filter(pc.is_in(mixture["part"], pa.array(parts)))
    if per_language is not None:
        seen: dict[tuple[str, str], int] = {}
        keep = []
        for cell in zip(mixture["language"].to_pylist(), mixture["part"].to_pylist(), strict=True):
            seen[cell] = seen.get(cell, 0) + 1
            keep.append(seen[cell] <= per_language[cell[1]])
        mixture = mixture.filter(pa.array(keep))
    return mixture


def _rank(seed: int, row: str) -> str:
    return hashlib.sha256(f"{seed}\n{row}".encode()).hexdigest()


def make(job: Job) -> None:
    """Make what a job is about."""
    paths = job.named("sources")
    table = draw(job.settings, {part: records.read(path, records.ROWS) for part, path in paths.items()})
    lineage = {
        "sources": {part: records.lineage(path)["rows"] for part, path in paths.items()},
        "licences": records.licences(*paths.values()),
    }
    write_rows(job, job.output("rows"), table, records.MIXTURE, **lineage)
