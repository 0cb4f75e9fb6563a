"""What a format is: where a dataset's rows are, what its columns hold, and how one of its rows becomes one of ours."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple


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
    """

    licence: str
    languages: Mapping[str, tuple[Part, ...]]
    columns: Mapping[str, str]
    row: Callable[[Raw, str], Raw | str]
    is_joined: bool = False


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
