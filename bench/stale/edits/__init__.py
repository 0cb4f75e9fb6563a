"""The edits, by what of the experiment they are about."""

from bench.stale.edit import Edit
from bench.stale.edits import code, data, execution, files, growth, models, order, scores, versions

EDITS: list[Edit] = [
    *data.EDITS,
    *models.EDITS,
    *scores.EDITS,
    *order.EDITS,
    *execution.EDITS,
    *code.EDITS,
    *growth.EDITS,
    *versions.EDITS,
    *files.EDITS,
]
