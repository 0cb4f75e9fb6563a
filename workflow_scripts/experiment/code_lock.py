"""Which code made a result: a version for each unit of work, which moves only when its results do.

A unit is a stage (`mixture`), or of a stage that chooses from a registry one row (`train:dpo`): the row's own file and
what the stage's work functions reach.  A row beside the user's config is a unit of its own (`formats/mine.py`), whose
version is part of the experiment: it stands among a recipe's settings.

`code.lock` in the repository holds two fingerprints of each unit of ours: `code`, of the code as it was locked, and
`results`, of the code at which its results last changed.  A recipe holds `results` where the code here is the locked
one.  Where it was edited it holds the fingerprint of the code here: an edit is never silently without effect, and
`make lock-code` says which of both it is.
"""

import importlib.metadata
import json
import re
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from workflow_scripts.base import beside, hashing
from workflow_scripts.base.errors import UserError
from workflow_scripts.base.registry import Registry
from workflow_scripts.experiment import fingerprint
from workflow_scripts.experiment.stages import STAGES
from workflow_scripts.experiment.stages._base import Stage
from workflow_scripts.metrics.measures import MEASURES

LOCK = Path(__file__).parents[2] / "code.lock"
DIGITS = re.compile(r"[0-9a-f]{12}")
FIX = "take it from the repository (git checkout code.lock), then `make lock-code` for what you changed"

OWN = "own"

# Units that are no stage: work function, and packages whose versions decide what it gives.
BESIDE = {"translator:nllb": "data.nllb:Engine", "rule_judge": "miniature.rule_judge:RuleJudge"}


class Locked(NamedTuple):
    """A line of the lock."""

    results: str
    code: str
    untested: str = ""  # why nobody compared the results of this code with those of the one before


@cache
def units() -> dict[str, tuple[str, ...]]:
    """Every unit, and the `module:name`s whose code it is; a module alone is all of it."""
    found: dict[str, tuple[str, ...]] = {name: (work,) for name, work in BESIDE.items()}
    found |= {f"measure:{row}": (f"{MEASURES.place}.{row}",) for row in MEASURES}
    for stage in STAGES.values():
        for row in Registry[object](stage.rows, "").built_in() if stage.rows else ():
            found[f"{stage.command}:{row}"] = (*stage.work, f"{stage.rows}.{row}")
        if not stage.rows:
            found[stage.command] = stage.work
        elif stage.rows in beside.KINDS:
            found[f"{stage.command}:{OWN}"] = stage.work  # with a row of the user's, whose file is a unit of its own
    return dict(sorted(found.items()))


def units_of(stage: Stage, row: str | None) -> tuple[str, ...]:
    """The units of a stage's artifact that uses a row of its registry.

    A row beside the config is a unit of its own; with it count the rows of ours from which it imports.
    """
    kind = beside.KINDS.get(stage.rows)
    if kind is None or not (path := beside.find(kind, row or "")):
        return (f"{stage.command}:{row}" if stage.rows else stage.command,)
    ours, imported = Registry[object](stage.rows, "").built_in(), fingerprint.imported(path)
    built_on = (f"{stage.command}:{name}" for name in ours if f"{stage.rows}.{name}" in imported)
    return f"{stage.command}:{OWN}", f"{kind}/{row}.py", *built_on


@cache
def now(unit: str, root: Path = fingerprint.ROOT) -> str:
    """The fingerprint of a unit's code as it is here."""
    return hashing.of_json(parts(unit, root))[:12]


def parts(unit: str, root: Path = fingerprint.ROOT) -> dict[str, str]:
    """The definitions that a unit is made of, with a hash each."""
    if is_own(unit):
        return {unit: fingerprint.of_file(_own(unit))}
    found: dict[str, str] = {}
    for work in units()[unit]:
        module, _, name = work.partition(":")
        found |= fingerprint.of(module, name or "*", root)
    return found


def is_own(unit: str) -> bool:
    """Whether a unit is a user's file."""
    return unit.endswith(".py")


def _own(unit: str) -> Path:
    """The file beside the config that a unit such as formats/mine.py is."""
    path = beside.find(*unit.removesuffix(".py").split("/"))
    if path is None:
        raise UserError(f"{unit}: no such file beside the config; take it back, or name another in the config")
    return path


def version(unit: str) -> str:
    """What a recipe holds of a unit.

    Raises:
        UserError: it is a user's file that is not there, or no Python.
    """
    return parts(unit)[unit] if is_own(unit) else _version(unit)


@cache
def _version(unit: str) -> str:
    here, locked = now(unit), read().get(unit)
    return locked.results if locked and locked.code == here else here


def versions(names: Iterable[str], packages: Iterable[str] = ()) -> dict[str, str]:
    """What a recipe holds of units of code and of packages."""
    known = ((package, installed(package)) for package in packages)
    return {name: version(name) for name in names} | {package: found for package, found in known if found}


@cache
def installed(package: str) -> str | None:
    """The version of a package, without the name of its build; None where it is not installed, as vLLM here may be."""
    try:
        return importlib.metadata.version(package).split("+")[0]
    except importlib.metadata.PackageNotFoundError:
        return None


def remember(names: Iterable[str], folder: Path) -> None:
    """Write down of what definitions units consist, so that `make why` can name the one that changes."""
    folder.mkdir(exist_ok=True)
    for unit in set(names):
        (folder / f"{version(unit)}.json").write_text(json.dumps(parts(unit), indent=1), encoding="utf-8")


def differences(unit: str, version: str, folder: Path) -> list[str]:
    """The definitions of a unit that are not as they were at a version; none where that was not written down."""
    try:
        before = json.loads((folder / f"{version}.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    after = parts(unit)
    return sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))


def unlocked(lock: Mapping[str, Locked] | None = None) -> list[str]:
    """The units whose code is not the locked one, or which are not in the lock."""
    lock = read() if lock is None else lock
    return [unit for unit in units() if unit not in lock or lock[unit].code != now(unit)]


@cache
def read(path: Path = LOCK) -> dict[str, Locked]:
    """The lock.

    Raises:
        UserError: it is missing, not whole, or was edited by hand.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"{path.name}: no such file; {FIX}") from None
    except UnicodeDecodeError:
        raise UserError(f"{path.name}: is not as `make lock-code` writes it; {FIX}") from None
    if re.search(r"^(<<<<<<<|=======|>>>>>>>)", text, re.M):
        raise UserError(f"{path.name}: has conflict markers of a merge; take one side, then `make lock-code`")
    try:
        lock = {unit: Locked(**entry) for unit, entry in json.loads(text, object_pairs_hook=_once).items()}
    except (ValueError, TypeError, AttributeError):
        raise UserError(f"{path.name}: is not as `make lock-code` writes it; {FIX}") from None
    for unit, entry in lock.items():
        if not all(isinstance(part, str) and DIGITS.fullmatch(part) for part in entry[:2]):
            raise UserError(f"{path.name}: {unit} has no fingerprints of 12 hex digits; {FIX}")
    return lock


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A table of JSON whose names all differ: a merge that kept both sides leaves some twice."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name stands twice")
    return found


def text(lock: Mapping[str, Locked]) -> str:
    """The lock as a file: a line for each unit, so that two branches that change two units merge."""
    entries = {unit: {part: value for part, value in lock[unit]._asdict().items() if value} for unit in sorted(lock)}
    return "{\n" + ",\n".join(f" {json.dumps(unit)}: {json.dumps(entry)}" for unit, entry in entries.items()) + "\n}\n"
