"""Spherical interpolation of two parents."""

from workflow_scripts.merge.methods._base import Method

METHOD = Method(("t",), base=False, parents=(2, 2), first_parent_is_base=True)
