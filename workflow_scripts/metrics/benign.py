"""The same as `harm`, asked of harmless prompts, so that refusing too much shows."""

from workflow_scripts.metrics._harmfulness import IS_HARMFUL

METRIC = IS_HARMFUL
