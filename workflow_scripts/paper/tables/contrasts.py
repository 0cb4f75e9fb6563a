"""Merge minus mix, for each declared contrast.

Of the item in the config::

    contrasts: [mono]                 # default: all that are declared
    metrics: [harm, win, direct]      # `direct` is the comparison of the two sides with each other
"""

from workflow_scripts.paper.tables._base import LinesTable, dagger
from workflow_scripts.paper.tables._contrasts import contrast_entry, contrast_pairs, sides

render = LinesTable(
    pairs=contrast_pairs,
    declared=True,
    labels=("contrast", "merge", "mix"),
    describe=lambda own, _: (own[0].row + dagger(own), own[0].model, own[0].reference),
    entry=contrast_entry,
    sides=sides,
    how_to_read=lambda _: "Each number is merge minus mix in the metric named, turned so that positive is better.",
).render
