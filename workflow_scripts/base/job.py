"""What one job is to do: a file by content that says which artifact to make, from which files, and how to work.

A rule hands its command one path, results/.jobs/<hash>.json, and nothing else, so a command is short whatever its
recipe and inputs are, and no path needs quoting.  `Recipe` is what Snakemake, the store and the artifact remember.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from workflow_scripts.base import hashing
from workflow_scripts.base.errors import UserError

RESULTS = Path("results")
STORE = RESULTS / ".store"
JOBS = RESULTS / ".jobs"
CODE = RESULTS / ".code"  # of what definitions units of code consisted, by version


class Recipe(NamedTuple):
    """What decides an artifact.

    Attributes:
        stage: the command that makes it.
        settings: what of the config decides its content.
        inputs: which artifacts it is made from, in order, and its own name: Snakemake must see them change, keys of the
            store hold their content instead.
        code: unit of code, or package -> the version that its content depends on (`code_lock`).
    """

    stage: str
    settings: dict[str, Any]
    inputs: dict[str, Any]
    code: dict[str, str]


MadeBy = dict[str, list[str]]  # unit of code -> the versions by which something, or what it rests on, was made


def made_by(recipe: Recipe, *before: MadeBy) -> MadeBy:
    """The versions that made an artifact and, before it, what it was made from."""
    unit, *_ = (name for name in recipe.code if name.partition(":")[0] == recipe.stage)
    return together({unit: [", ".join(f"{name} {version}" for name, version in recipe.code.items())]}, *before)


def together(*made: MadeBy) -> MadeBy:
    """All versions that made several things."""
    found: MadeBy = {}
    for one in made:
        for name, versions in one.items():
            found[name] = sorted({*found.get(name, []), *versions})
    return found


class Made(NamedTuple):
    """What a command says of what it made.

    Attributes:
        store: the key of its work in the store, where it lies there whole.
        found: nothing was left to do.
        usd: what the answers of language models that it rests on cost, whenever they were asked.
    """

    store: str | None = None
    found: bool = False
    usd: float = 0.0


@dataclass(frozen=True)
class Job:
    """An artifact to make.

    Attributes:
        recipe: what decides it.
        settings: all that the work reads: those of the recipe, and the neutral ones that it leaves out.
        execution: settings that do not decide what comes out: limits, batches, threads.
        files: role -> paths that are read.
        outputs: role -> paths that are written.
        record: where it is written how the artifact was made; no rule reads it, so that it can make nothing stale.
        kept: its recipe holds the code that made it once, so it is found in the store or not made at all.
    """

    recipe: Recipe
    settings: dict[str, Any]
    execution: dict[str, Any]
    files: dict[str, list[Path]]
    outputs: dict[str, list[Path]]
    record: Path
    kept: bool = False

    def file(self, role: str) -> Path:
        """The one file of a role that is read."""
        (path,) = self.files[role]
        return path

    def output(self, role: str) -> Path:
        """The one file of a role that is written."""
        (path,) = self.outputs[role]
        return path

    def named(self, role: str) -> dict[str, Path]:
        """The files of a role by the names that the recipe has for them, in its order."""
        return dict(zip(self.recipe.inputs[role], self.files[role], strict=True))

    @property
    def work(self) -> dict[str, Any]:
        """What a key of the store is made from, besides the content of inputs."""
        return {"settings": self.recipe.settings, "code": self.recipe.code}

    def text(self) -> str:
        """The job as canonical JSON."""
        files, outputs = (
            {role: [str(path) for path in paths] for role, paths in group.items()}
            for group in (self.files, self.outputs)
        )
        parts: dict[str, Any] = {
            "recipe": self.recipe._asdict(),
            "settings": self.settings,
            "execution": self.execution,
        }
        parts |= {"files": files, "outputs": outputs, "record": str(self.record)}
        parts |= {"kept": True} if self.kept else {}
        return hashing.canonical(parts)

    @property
    def path(self) -> Path:
        """Where the job is written down."""
        return JOBS / f"{hashing.of_text(self.text())[:20]}.json"


def read(path: Path) -> Job:
    """A job that was written down.

    Raises:
        UserError: it is not there or not whole.
    """
    try:
        parts = json.loads(path.read_text(encoding="utf-8"))
        files, outputs = (
            {role: [Path(file) for file in paths] for role, paths in parts[group].items()}
            for group in ("files", "outputs")
        )
        return Job(
            *(Recipe(**parts["recipe"]), parts["settings"], parts["execution"], files, outputs, Path(parts["record"])),
            kept="kept" in parts,
        )
    except FileNotFoundError:
        raise UserError(f"{path}: no such job; run snakemake, which writes it down") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise UserError(f"{path}: is not a whole job; delete it and run snakemake, which writes it again") from None


def read_record(path: Path) -> dict[str, Any]:
    """How an artifact was made, as written beside it; empty where that is not known."""
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return {}
