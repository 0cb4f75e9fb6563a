"""A cell for each model and metric, and its difference from the reference row.

Of the item in the config::

    rows:                             # label -> model, or label -> {column group: model}
      0% Safety Mix: {SFT: sft-mix0, DPO: dpo-mix0}
      SLERP: {SFT: sft-slerp, DPO: dpo-slerp}
    reference: 15% Safety Mix         # label of the row that the others are compared with; default: none
"""

from workflow_scripts.paper import typeset
from workflow_scripts.paper.lines import Line, row_pairs
from workflow_scripts.paper.tables._base import LinesTable, dagger, matched_text, p_text, small
from workflow_scripts.paper.typeset import DOUBLE, SECTION, Entry


def _entry(line: Line, alpha: float) -> Entry:
    difference = line.difference
    shown = difference is not None and difference.estimate is not None
    marks = DOUBLE * line.cell.saturated + SECTION * line.weak
    return Entry(
        typeset.number(line.cell.estimate) + marks,
        f"({typeset.number(difference.estimate, '+.1f')})" if difference is not None and shown else "",
        line.p_adjusted is not None and line.p_adjusted < alpha,
        small(line.cell),
        p_text(line.p_adjusted),
    )


render = LinesTable(
    pairs=row_pairs,
    declared=False,
    labels=("",),
    describe=lambda own, _: (own[0].row + dagger(own),),
    entry=_entry,
    sides=lambda line: [(line.row + dagger([line]), line.model, matched_text(line))],
    how_to_read=lambda item: (
        f"In parentheses: difference from the {item['reference']} row, positive is better."
        if item.get("reference")
        else ""
    ),
).render
