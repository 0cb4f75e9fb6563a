"""What a format is: where a dataset's rows are, what its columns hold, and how one of its rows becomes one of ours."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from workflow_scripts.base import records


class Part(NamedTuple):
    """Rows of one language in one split of a dataset.

    Attributes:
        config: the dataset's.
        split: the dataset's.
        where: column -> value of these rows, where a split holds several languages.
        place: our split, unless the config gives shares.
        rows: how many the published dataset has, for a quote before it is at hand; None where that is not known.
    """

    config: str | None
    split: str
    where: Mapping[str, str] = {}
    place: str = "test"
    rows: int | None = None

    def __str__(self) -> str:
        return f"{self.config}, {self.split}" if self.config else self.split


class Problem(ValueError):
    """A column of a row holds what it should not."""

    def __init__(self, column: str, what: str) -> None:
        super().__init__(f"column '{column}' {what}")


Raw = dict[str, Any]


@dataclass(frozen=True)
class Format:
    """A published dataset.

    Attributes:
        licence: of its card.
        languages: ISO 639-1 codes -> where their rows are.
        columns: those that are read -> what they hold, a key of `HOLDS`.
        row: from a row of the dataset and its language to fields of records.ROWS, with `key` for the source prompt, or
            to the reason why the row is left out.
        is_joined: whether every language has the same source prompts.

    Raises:
        ValueError: a field does not hold what it is for.
    """

    licence: str
    languages: Mapping[str, tuple[Part, ...]]
    columns: Mapping[str, str]
    row: Callable[[Raw, str], Raw | str]
    is_joined: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.licence, str) or not self.licence:
            raise ValueError("licence is no text; name the one on the dataset's card")
        if not isinstance(self.languages, Mapping) or not self.languages:
            raise ValueError("languages is no table; give each language code its Parts")
        for language, parts in self.languages.items():
            if not isinstance(parts, tuple) or not parts or not all(isinstance(part, Part) for part in parts):
                raise ValueError(f"languages: '{language}' has no tuple of Parts, such as (Part(None, \"train\"),)")
            for part in parts:
                if part.place not in records.SPLITS:
                    raise ValueError(
                        f"languages: '{language}' has place='{part.place}'; choose from: {', '.join(records.SPLITS)}"
                    )
        if not isinstance(self.columns, Mapping) or not self.columns:
            raise ValueError("columns is no table; name each column that `row` reads, with what it holds")
        for column, holds in self.columns.items():
            if holds not in HOLDS:
                raise ValueError(f"columns: '{column}' holds {holds!r}; choose from: {', '.join(HOLDS)}")
        if not callable(self.row):
            raise ValueError("row is no function")


def _is_messages(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(turn, dict) and isinstance(turn.get("role"), str) and isinstance(turn.get("content"), str | None)
        for turn in value
    )


HOLDS: dict[str, Callable[[Any], bool]] = {
    "text": lambda value: isinstance(value, str | None),  # a row without text is left out, and counted
    "an id": lambda value: isinstance(value, str | int) and value != "",
    "a number": lambda value: isinstance(value, int | float),
    "a list of messages": _is_messages,
}
