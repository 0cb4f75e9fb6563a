"""Weighted average of the parents (arXiv 2203.05482)."""

from workflow_scripts.merge.methods._base import Method

METHOD = Method(("weights", "normalize"), base=False)
