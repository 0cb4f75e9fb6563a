"""Only stale work is redone: edits to a finished experiment, work owed against work done; then kills.

The experiment of tests/configs/stale.yaml is built once.  Each row of `edits` is applied to a fresh copy of the
finished folder, the same bare command runs again, and what the edit owes, written down by hand in its row, is compared
with what was done, counted where it happens: the optimizer's step, the merged tensor, the engine's row, the judge's
request.  Neither Snakemake's list of jobs nor the store is asked.
"""
