"""Tables, a file per kind.

What all items of `tables` in the config have in common::

table1:
  kind: cells                       # default; or another file of this folder, which says what is its own
  caption: Objective-based merging against mixing.
  metrics: [harm, win]              # keys of MEASURES; default harm, win
  by: pooled                        # default; or language, scope, category: a column for each
  languages: [en, fr, es]           # default: all of the experiment
"""

from collections.abc import Callable, Mapping
from typing import Any

from workflow_scripts.base.registry import Registry
from workflow_scripts.paper.scores import Scores
from workflow_scripts.paper.typeset import Table

TABLES: Registry[Callable[[str, Mapping[str, Any], Scores], Table]] = Registry("paper.tables", "render")
