"""What tables have in common whose rows are contrasts: merge minus mix, turned so that positive is better."""

from collections.abc import Mapping
from typing import Any

from workflow_scripts.base.errors import UserError
from workflow_scripts.paper import typeset
from workflow_scripts.paper.lines import Line, Pair
from workflow_scripts.paper.scores import Scores
from workflow_scripts.paper.tables._base import dagger, matched_text, p_text, small
from workflow_scripts.paper.typeset import DOUBLE, SECTION, Entry


def contrast_pairs(name: str, item: Mapping[str, Any], scores: Scores) -> list[Pair]:
    """The two sides of each contrast that an item prints.

    Raises:
        UserError: a contrast is not declared.
    """
    names = item.get("contrasts") or list(scores.contrasts)
    if unknown := [contrast for contrast in names if contrast not in scores.contrasts]:
        known = ", ".join(scores.contrasts) or "none"
        raise UserError(f"{name}.contrasts: {unknown[0]!r} is not declared ({known}); add it to `contrasts`")
    found: list[Pair] = []
    for contrast in names:
        declared = scores.contrasts[contrast]
        matched = declared["matched"] if declared["matched"] != "none" else None
        found.append((contrast, "", declared["merge"], declared["mix"], matched))
    return found


def contrast_entry(line: Line, alpha: float) -> Entry:
    """The difference of the two sides."""
    assert line.difference is not None
    number = typeset.number(line.difference.estimate, "+.1f") if line.difference.estimate is not None else "undefined"
    number += DOUBLE * line.cell.saturated + SECTION * line.weak
    strong = line.p_adjusted is not None and line.p_adjusted < alpha
    return Entry(number, "", strong, small(line.difference), p_text(line.p_adjusted))


def sides(line: Line) -> list[tuple[str, str, str]]:
    """Both sides, for the block of costs."""
    return [
        (f"{line.row}, mix", line.reference, "reference"),
        (f"{line.row}, merge" + dagger([line]), line.model, matched_text(line)),
    ]
