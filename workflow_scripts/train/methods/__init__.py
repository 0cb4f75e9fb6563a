"""Training methods: a file per method."""

from workflow_scripts.base.registry import Registry
from workflow_scripts.train.methods._base import Method

METHODS: Registry[Method] = Registry("train.methods", "METHOD")
