"""Stage: the rows of a source with their translations, and how good each of these looks."""

import argparse
import json
import os
from pathlib import Path

from workflow_scripts.base import hashing, records
from workflow_scripts.data import translating, translators
from workflow_scripts.store import checksums


def main(arguments: list[str]) -> None:
    """Command line of the stage."""
    parser = argparse.ArgumentParser(prog="translate", description=__doc__)
    parser.add_argument("--recipe", type=json.loads, required=True)
    parser.add_argument("--how", type=json.loads, default=os.environ.get("MIXMERGE_HOW"), help="see Recipes.how")
    parser.add_argument("--source", type=Path, required=True)
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--quality", type=Path, required=True)
    given = parser.parse_args(arguments)
    work, names = given.recipe["work"], given.recipe["names"]
    source = records.read(given.source, records.ROWS)
    translator = translators.start(work["translator"], given.how["translators"][names["translator"]], given.store)
    made = translating.derive(work, source, translator)
    counts = {**made.counts, **records.counts(made.rows)}
    lineage = {
        "recipe": given.recipe,
        "rows": hashing.of_table(made.rows),
        "source": records.lineage(given.source)["rows"],
        "licences": records.licences(given.source) | {names["translator"]: names["licence"]},
        "counts": counts,
        "translations": translator.place,
    }
    print(f"{work['name']}: {json.dumps(counts)}")
    with checksums.recording(Path("results"), [given.quality, given.output]):
        records.write(given.quality, made.qualities, records.TRANSLATIONS, lineage)
        records.write(given.output, made.rows, records.ROWS, lineage)
