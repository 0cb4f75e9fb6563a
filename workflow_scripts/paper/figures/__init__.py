"""Figures, a file per kind.

What all items of `figures` in the config have in common::

figure2:
kind: bars                        # or another file of this folder
caption: The 15% mix against SLERP.
rows:                             # label -> model, or label -> {group: model}
15% Safety Mix: {SFT: sft-mix15, DPO: dpo-mix15}
SLERP: {SFT: sft-slerp, DPO: dpo-slerp}
metrics: [harm, win]              # a panel each: keys of MEASURES; for curves, names in records.CURVE
languages: [en, fr, es]           # default: all of the experiment
reference: 15% Safety Mix         # label of a row: grey in bars, a dashed line elsewhere; default: none
colors: {SLERP: "#0072B2"}        # label -> colour (sweep: group -> colour); default: Okabe and Ito's palette
"""

from collections.abc import Callable, Mapping
from typing import Any

from matplotlib.figure import Figure

from workflow_scripts.base.registry import Registry
from workflow_scripts.paper.figures._parts import Curves
from workflow_scripts.paper.scores import Scores

FIGURES: Registry[Callable[[str, Mapping[str, Any], Scores, Curves], tuple[Figure, str]]] = Registry(
    "paper.figures", "draw"
)
