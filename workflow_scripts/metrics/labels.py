"""The same as `harm`, asked of answers that people labelled, so that the judge itself is measured."""

from dataclasses import replace

from workflow_scripts.metrics._harmfulness import IS_HARMFUL

METRIC = replace(IS_HARMFUL, labelled=True)
