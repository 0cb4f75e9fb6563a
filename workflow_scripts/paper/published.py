"""What a paper printed, to be shown beside our own numbers and never among them."""

from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from workflow_scripts.base.errors import UserError

PUBLISHED = Path(__file__).parents[2] / "published"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Value(_Strict):
    """One printed number and the place in an item of ours that it belongs to.

    Attributes:
        item: key of `tables` or `figures` in the config.
        row: row label of the item.
        metric: key of MEASURES.
        value: the number, in the metric's unit.
        source: where the paper prints it.
        note: what stands between this number and ours.
        group: column group of the item, e.g. the training stage.
        language: code, or pooled.
        difference: the printed difference from the reference, positive is better.
    """

    item: str
    row: str
    metric: str
    value: float
    source: str
    note: str
    group: str = ""
    language: str = "pooled"
    difference: float | None = None

    @property
    def place(self) -> tuple[str, str, str, str, str]:
        """What the value is joined on."""
        return self.item, self.row, self.group, self.language, self.metric


class Fact(_Strict):
    """A number from the paper's text that belongs to no cell."""

    statement: str
    metric: str
    value: float
    source: str
    note: str


class Published(_Strict):
    """All that is known of a paper's numbers."""

    paper: str
    notes: dict[str, str]
    values: tuple[Value, ...]
    facts: tuple[Fact, ...] = ()

    def of(self, item: str) -> dict[tuple[str, str, str, str], Value]:
        """The values of one item, by (row, group, language, metric)."""
        return {value.place[1:]: value for value in self.values if value.item == item}


def read(path: Path) -> Published:
    """Read a file of published values.

    Raises:
        UserError: the file is missing, malformed, or has two values for one place.
    """
    try:
        found = Published.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; write it, or take `reproduces` out of the config") from None
    except yaml.YAMLError as error:
        raise UserError(f"{path}: not YAML ({' '.join(str(error).split())})") from None
    except ValidationError as error:
        first = error.errors()[0]
        raise UserError(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    places = [value.place for value in found.values]
    if twice := sorted({place for place in places if places.count(place) > 1}):
        raise UserError(f"{path}: two values for {' / '.join(part for part in twice[0] if part)}; keep one")
    return found
