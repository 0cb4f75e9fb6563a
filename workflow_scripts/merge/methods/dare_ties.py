"""Random drop and rescale, then elect sign and merge (arXiv 2311.03099)."""

from workflow_scripts.merge.methods._base import TASK_ARITHMETIC, Method

METHOD = Method(TASK_ARITHMETIC, base=True, draws=True)
