"""Merge methods: a file per method; docs/merging.md has the formulas."""

from workflow_scripts.base.registry import Registry
from workflow_scripts.merge.methods._base import Method

METHODS: Registry[Method] = Registry("merge.methods", "METHOD")
