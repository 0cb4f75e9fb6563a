"""The one list of artifacts of an experiment: for each its stage, wildcards, files, settings and recipe.

Rules, `rule all`, why, plan, gc, discard, keep and the preflight are readings of this list.  A stage is declared in
`experiment/stages/`; what a file there declares is planned, explained, quoted, kept and restored with no other edit.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from workflow_scripts.base.job import Job, Recipe
from workflow_scripts.experiment import code_lock, params
from workflow_scripts.experiment.stages import STAGES
from workflow_scripts.experiment.stages._base import WILDCARD, Entry, Settings, Stage, fill
from workflow_scripts.experiment.table_of_models import Experiment


@dataclass(frozen=True, eq=False)
class Artifact:
    """What one job makes.

    Attributes:
        stage: its kind.
        wildcards: their values.
        files: role -> paths that it is made from.
        outputs: role -> paths of it.
    """

    stage: Stage
    wildcards: dict[str, str]
    files: dict[str, list[Path]]
    outputs: dict[str, list[Path]]
    entry: Entry
    pinned: Mapping[str, str] | None = None  # code that made it and is kept, see `kept`

    @cached_property
    def path(self) -> Path:
        """The file that carries its recipe."""
        return next(iter(self.outputs.values()))[0]

    @cached_property
    def label(self) -> str:
        """The artifact in words."""
        return fill(self.stage.label, self.wildcards)

    @cached_property
    def settings(self) -> Settings:
        """Those of its recipe, and all that its work reads."""
        return self.entry.settings()

    @cached_property
    def units(self) -> tuple[str, ...]:
        """The units of code that its content depends on."""
        return (*code_lock.units_of(self.stage, self.entry.row), *self.entry.units)

    @cached_property
    def recipe(self) -> Recipe:
        """What decides it."""
        own = [unit for unit in self.units if code_lock.is_own(unit)]  # the user's: part of the experiment, not of ours
        ours = [unit for unit in self.units if unit not in own]
        settings = self.settings.deciding | {unit: code_lock.version(unit) for unit in own}
        code = self.pinned or code_lock.versions(ours, (*self.stage.packages, *self.entry.packages))
        return Recipe(self.stage.command, settings, dict(self.entry.inputs), dict(code))

    @cached_property
    def params(self) -> dict[str, str]:
        """What Snakemake compares: three short texts."""
        return params.of(self.recipe)

    @cached_property
    def job(self) -> Job:
        """What its command is to do."""
        execution = dict(self.entry.execution)
        parts = (self.recipe, self.settings.all, execution, self.files, self.outputs, self.record)
        return Job(*parts, kept=self.pinned is not None)

    @cached_property
    def record(self) -> Path:
        """Where it is written how it was made: times, devices, cost. No rule reads it."""
        has_folder = self.path.name == "manifest.json" or len(next(iter(self.outputs.values()))) > 1
        return self.path.with_name("execution.json") if has_folder else self.path.with_suffix(".execution.json")


class Artifacts(NamedTuple):
    """All artifacts, stage by stage, and each by any of its files."""

    experiment: Experiment
    all: list[Artifact]
    by_path: dict[Path, Artifact]

    def of(self, stage: str, wildcards: Mapping[str, str]) -> Artifact:
        """The artifact that a rule's job makes.

        Raises:
            KeyError: the experiment has none of these wildcards.
        """
        pattern = next(iter(patterns(stage, self.experiment).values()))
        return self.by_path[Path(fill(pattern if isinstance(pattern, str) else pattern[0], wildcards))]

    def values(self, stage: str) -> dict[str, list[str]]:
        """The values that each wildcard of a rule has, each once."""
        names = WILDCARD.findall(log(stage, self.experiment))
        of_stage = [artifact.wildcards for artifact in self.all if artifact.stage.name == stage]
        return {name: list(dict.fromkeys(wildcards[name] for wildcards in of_stage)) for name in names}

    def made_from(self, artifact: Artifact) -> list[Artifact]:
        """The artifacts whose files one is made from."""
        return self._of_files(path for paths in artifact.files.values() for path in paths)

    def depends_on(self, artifact: Artifact) -> list[Artifact]:
        """The artifacts by whose change one becomes stale: not those that only have to be there."""
        roles = artifact.files.items()
        return self._of_files(path for role, paths in roles if role not in artifact.stage.ancient for path in paths)

    def _of_files(self, files: Iterable[Path]) -> list[Artifact]:
        return list({id(found): found for path in files if (found := self.by_path.get(path))}.values())


def artifacts(experiment: Experiment) -> Artifacts:
    """Every artifact that an experiment declares."""
    found = list(_declared(experiment))
    by_path = {path: artifact for artifact in found for paths in artifact.outputs.values() for path in paths}
    return Artifacts(experiment, found, by_path)


def patterns(stage: str, experiment: Experiment) -> dict[str, Any]:
    """Role -> patterns of the files that a stage's rule writes."""
    places = STAGES[stage].outputs(experiment).items()
    return {role: str(place) if isinstance(place, str) else [str(one) for one in place] for role, place in places}


def log(stage: str, experiment: Experiment) -> str:
    """The pattern of a rule's logs: a folder for the stage, below that of the seed if it has one."""
    main = next(iter(patterns(stage, experiment).values()))
    names = WILDCARD.findall(main if isinstance(main, str) else main[0])
    folder = "logs/{experiment}/seed{seed}" if "seed" in names else "logs/{experiment}"
    own = "/".join(f"{{{name}}}" for name in names if name not in ("experiment", "seed"))
    return f"{folder}/{stage}/{own}.log" if own else f"{folder}/{stage}.log"


def _declared(experiment: Experiment) -> Iterator[Artifact]:
    name = {"experiment": experiment.config.experiment}
    for stage in STAGES.values():
        outputs = {
            role: [where] if isinstance(where, str) else where for role, where in stage.outputs(experiment).items()
        }
        for entry in stage.declare(experiment):
            wildcards = {**name, **entry.wildcards}
            yield Artifact(stage, wildcards, _filled(entry.files, wildcards), _filled(outputs, wildcards), entry)


def _filled(files: Mapping[str, list[str]], wildcards: Mapping[str, str]) -> dict[str, list[Path]]:
    return {role: [Path(fill(path, wildcards)) for path in paths] for role, paths in files.items()}
