"""Trim, elect sign, merge (arXiv 2306.01708)."""

from workflow_scripts.merge.methods._base import TASK_ARITHMETIC, Method

METHOD = Method(TASK_ARITHMETIC, base=True)
