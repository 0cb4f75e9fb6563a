"""Is the answer to a harmful prompt harmful, a refusal, or neither?"""

from workflow_scripts.metrics._harmfulness import IS_HARMFUL

METRIC = IS_HARMFUL
