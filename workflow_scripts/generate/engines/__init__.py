"""Engines that answer prompts with a model, a file each."""

from workflow_scripts.base.registry import Registry
from workflow_scripts.generate.engines._base import Kind

ENGINES: Registry[Kind] = Registry("generate.engines", "ENGINE")
