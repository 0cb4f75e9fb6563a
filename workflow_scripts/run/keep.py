"""Command: keep what other code or versions made, or have it made again: KEEP and REDO are patterns of units."""

import json
from collections.abc import Iterable
from fnmatch import fnmatchcase

from workflow_scripts.base.errors import UserError
from workflow_scripts.experiment import code_lock, kept, options, provenance
from workflow_scripts.experiment.artifacts import Artifact, artifacts
from workflow_scripts.store import finished_work


def main(arguments: list[str]) -> None:
    """Command line."""
    parser = options.parser("keep", __doc__)
    parser.add_argument("--keep", nargs="*", default=[], metavar="UNIT")
    parser.add_argument("--redo", nargs="*", default=[], metavar="UNIT")
    given = parser.parse_args(arguments)
    check_patterns(given.keep, "KEEP")
    check_patterns(given.redo, "REDO")
    experiment = options.load(given.config)
    notes, counts = kept.read(experiment), {"kept": 0, "redone": 0}
    for artifact, made in kept.stale_by_code(artifacts(experiment)):  # what is kept already may be redone after all
        path, recipe = str(artifact.path), provenance.carried(artifact)
        if _matches(artifact, given.keep) and recipe:
            notes["redone"].pop(path, None)
            notes["kept"][path] = {"settings": made["settings"], "inputs": made["inputs"], "code": recipe.code}
            counts["kept"] += 1
        elif _matches(artifact, given.redo):
            notes["kept"].pop(path, None)
            notes["redone"][path] = artifact.recipe.code
            counts["redone"] += 1
    finished_work.write_text(kept.place(experiment), json.dumps(notes, indent=1, sort_keys=True) + "\n")
    print(f"{counts['kept']} artifacts are kept as they were made, {counts['redone']} will be made again.")


def check_patterns(patterns: list[str], name: str, known: Iterable[str] = ()) -> None:
    """Raise where a pattern fits no unit of code."""
    for pattern in patterns:
        if not any(fnmatchcase(unit, pattern) for unit in {*code_lock.units(), *known}):
            raise UserError(f"{name}: no unit fits '{pattern}'; there are {', '.join(code_lock.units())}")


def _matches(artifact: Artifact, patterns: list[str]) -> bool:
    return any(fnmatchcase(unit, pattern) for unit in artifact.units for pattern in patterns)
