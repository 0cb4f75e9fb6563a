"""What a stage is: where its artifacts lie, and which there are in an experiment."""

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from workflow_scripts.config.fields import deciding, declared
from workflow_scripts.config.section import Section
from workflow_scripts.experiment.table_of_models import Experiment

WILDCARD = re.compile(r"\{(\w+)\}")


class Place(str):
    """Where files of one kind lie: a path with wildcards in braces, as Snakemake has them.

    >>> place = Place("data/suites/{suite}.parquet")
    >>> place, place(suite="redteam")
    ('results/{experiment}/data/suites/{suite}.parquet', 'results/{experiment}/data/suites/redteam.parquet')
    """

    def __new__(cls, below: str) -> "Place":
        """A place below the experiment's folder."""
        return super().__new__(cls, f"results/{{experiment}}/{below}")

    def __call__(self, **known: object) -> str:
        """The path with some wildcards filled in; the others stay."""
        return fill(self, known)


def lies(place: str, experiment: Experiment, **known: object) -> Path:
    """Where a file of an experiment lies."""
    return Path(fill(place, {"experiment": experiment.config.experiment, **known}))


def by_name(name: str) -> list[tuple[str, int]]:
    """What to sort names by: their numbers count by value.

    >>> sorted(["mix100", "mix15", "mix0", "mix"], key=by_name)
    ['mix', 'mix0', 'mix15', 'mix100']
    """
    return [(text, int(number or -1)) for text, number in re.findall(r"(\D*)(\d*)", name)]


def fill(pattern: str, known: Mapping[str, object]) -> str:
    """Put values in place of the wildcards that they are for; other wildcards stay."""
    return WILDCARD.sub(lambda found: str(known.get(found[1], found[0])), pattern)


class Settings(NamedTuple):
    """Settings of one artifact."""

    deciding: dict[str, Any]  # those of its recipe: what differs from neutral values
    all: dict[str, Any]  # those that the work function reads

    def plus(self, **more: Any) -> "Settings":
        """These and more; of a value that is settings itself, each side gets its own."""
        return Settings(*(own | _side(more, number) for number, own in enumerate(self)))


def _side(value: Any, number: int) -> Any:
    if isinstance(value, Settings):
        return value[number]
    if isinstance(value, dict):
        return {name: _side(item, number) for name, item in value.items()}
    return [_side(item, number) for item in value] if isinstance(value, list) else value


def settings_of(section: Section, method: str | None = None, counting: Collection[str] = (), **more: Any) -> Settings:
    """The settings of a section of the config, and more of them that stand elsewhere (see `Settings.plus`)."""
    everything = section.model_dump(by_alias=True, mode="json")
    return Settings(deciding(section, method, counting), everything).plus(**more)


def results_of(section: Section) -> Settings:
    """The settings of a section that decide a result, for settings within others."""
    names = {name for name, field in type(section).model_fields.items() if declared(field).decides == "result"}
    return Settings(deciding(section), section.model_dump(by_alias=True, mode="json", include=names))


@dataclass(frozen=True)
class Entry:
    """One artifact, as its stage declares it.

    Attributes:
        wildcards: their values, but for the experiment's name.
        files: role -> what it is made from; wildcards of its own may stand in the paths.
        inputs: of its recipe, see `base.job.Recipe`.
        settings: of its recipe, called when they are asked for.
        execution: settings that do not decide what comes out.
        row: of the stage's registry, where it has one: the unit of code is `stage:row`.
        units: further units of code that its content depends on.
        packages: further packages of which it does.
        asks_provider: whether its job asks a language model elsewhere, whose limits are for all.
    """

    wildcards: Mapping[str, str]
    settings: Callable[[], Settings]
    files: Mapping[str, list[str]] = field(default_factory=dict)
    inputs: Mapping[str, Any] = field(default_factory=dict)
    execution: Mapping[str, Any] = field(default_factory=dict)
    row: str | None = None
    units: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    asks_provider: bool = False


Outputs = Mapping[str, "str | list[str]"]
Declare = Callable[[Experiment], Iterator[Entry]]


@dataclass(frozen=True)
class Stage:
    """A kind of artifact, which one rule makes.

    Attributes:
        name: of the rule.
        label: one of its artifacts in words, with wildcards.
        outputs: role -> patterns of paths; the first is the one that carries the recipe.
        declare: the stage's artifacts in an experiment.
        work: `module:function`s of the work, whose code decides the content; what stands around it does not.
        command: the file that makes it; by default the one that is called as the rule.
        rows: the registry of which an artifact uses one row, as a place below workflow_scripts.
        packages: whose versions decide the content.
        ancient: roles of files that must be there, but whose changes make nothing stale.
        on_demand: made only where something waits for it; no part of what a finished experiment has.
    """

    name: str
    label: str
    outputs: Callable[[Experiment], Outputs]
    declare: Declare
    work: tuple[str, ...]
    command: str
    rows: str = ""
    packages: tuple[str, ...] = ()
    ancient: frozenset[str] = frozenset()
    on_demand: bool = False


def stage(
    name: str,
    label: str,
    outputs: Outputs | Callable[[Experiment], Outputs],
    work: str | tuple[str, ...],
    command: str = "",
    rows: str = "",
    packages: tuple[str, ...] = (),
    ancient: tuple[str, ...] = (),
    on_demand: bool = False,
) -> Callable[[Declare], Stage]:
    """Make a stage of a function that declares its artifacts; the arguments are the attributes of `Stage`."""

    def made(declare: Declare) -> Stage:
        patterns = outputs if callable(outputs) else lambda _: outputs
        works = (work,) if isinstance(work, str) else work
        return Stage(
            name, label, patterns, declare, works, command or name, rows, packages, frozenset(ancient), on_demand
        )

    return made
