"""Stage: the prompts of a suite, which every model answers."""

import argparse
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from workflow_scripts.base import hashing, records
from workflow_scripts.base.errors import UserError
from workflow_scripts.store import checksums


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


def main(arguments: list[str]) -> None:
    """Command line of the stage."""
    parser = argparse.ArgumentParser(prog="suite", description=__doc__)
    parser.add_argument("--recipe", type=json.loads, required=True)
    parser.add_argument("--source", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    given = parser.parse_args(arguments)
    table = choose(given.recipe["work"], records.read(given.source, records.ROWS))
    source = records.lineage(given.source)["rows"]
    lineage = {
        "recipe": given.recipe,
        "rows": hashing.of_table(table),
        "source": source,
        "licences": records.licences(given.source),
        "counts": records.counts(table),
    }
    with checksums.recording(Path("results"), [given.output]):
        records.write(given.output, table, records.ROWS, lineage)
