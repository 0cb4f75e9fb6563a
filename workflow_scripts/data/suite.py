"""Command: the prompts of a suite, which every model answers."""

from collections import Counter
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from workflow_scripts.base import records
from workflow_scripts.base.errors import UserError
from workflow_scripts.base.job import Job
from workflow_scripts.store.outputs import write_rows


def choose(work: dict[str, Any], source: pa.Table) -> pa.Table:
    """The first rows of a split in each language, in the source's order.

    Raises:
        UserError: the suite would be empty, or a language has fewer rows than asked for.
    """
    source = source.filter(pc.equal(source["split"], work["split"]))
    seen: Counter[str] = Counter()
    keep = []
    for language in source["language"].to_pylist():
        seen[language] += 1
        is_wanted = language in work["languages"]
        keep.append(is_wanted and (work["per_language"] is None or seen[language] <= work["per_language"]))
    for language in work["languages"]:
        if seen[language] < (work["per_language"] or 1):
            raise UserError(
                f"suite: source '{work['source']}' has {seen[language]} {work['split']} rows in {language}, "
                f"{work['per_language'] or 'at least 1'} asked for; lower per_language or give the source more rows"
            )
    return source.filter(pa.array(keep, pa.bool_()))


def make(job: Job) -> None:
    """Make what a job is about."""
    path = job.file("source")
    table = choose({**job.settings, "source": job.recipe.inputs["source"]}, records.read(path, records.ROWS))
    lineage = {
        "source": records.lineage(path)["rows"],
        "licences": records.licences(path),
        "counts": records.counts(table),
    }
    write_rows(job, job.output("rows"), table, records.ROWS, **lineage)
