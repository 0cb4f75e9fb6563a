"""The experiment as the rules see it: its recipes, and which files belong to what.

REQUIRED INPUTS: the config. OUTPUTS: none; only names for the other rule files.
"""

import os
import re
import sys
from pathlib import Path

sys.path.insert(0, workflow.basedir)

from workflow_scripts.experiment import provenance
from workflow_scripts.run import session
from workflow_scripts.config.data import DatasetSource, FileSource, SynthesisSource, TranslateSource, WorldSource
from workflow_scripts.config.models import Init, Load, Merge, Train
from workflow_scripts.experiment.config_errors import ConfigError
from workflow_scripts.experiment.table_of_models import load
from workflow_scripts.llm.request import RULES
from workflow_scripts.experiment.recipes import Judged, Recipes
from workflow_scripts.forecast.resources import Needs, Requirements

try:
    EXPERIMENT = load(config)
    RECIPES = Recipes(EXPERIMENT)
    if workflow.is_main_process:
        session.prepare(RECIPES)
except (ConfigError, session.Refusal) as refusal:
    print(refusal, file=sys.stderr)
    sys.exit(1)


onstart:
    try:
        session.start(RECIPES, submits=not workflow.local_exec)
    except session.Refusal as refusal:
        print(refusal, file=sys.stderr)
        sys.exit(1)


session.equip(RECIPES, workflow.basedir)

NAME = EXPERIMENT.config.experiment
SEEDS = EXPERIMENT.config.seeds
SUITES = list(EXPERIMENT.config.suites)
ANSWERED = RECIPES.answered_suites()
COMPARED = RECIPES.compared()
JUDGES = list(EXPERIMENT.config.judges)
REQUIREMENTS = Requirements(EXPERIMENT, ANSWERED)
WEIGHTS = ["config.json", "model.safetensors", "tokenizer.json"]


def one_of(names):
    """A wildcard that is one of these names and nothing else."""
    return "|".join(map(re.escape, names)) or "(?!)"


def models_of(kind, temporary=None):
    """A wildcard for the models of a kind."""
    models = EXPERIMENT.models.items()
    of_kind = [name for name, model in models if isinstance(model.row, kind)]
    return one_of(name for name in of_kind if temporary in (None, EXPERIMENT.temporary(name)))


def sources_that_are(*kinds):
    """A wildcard for the sources of some kinds."""
    return one_of(name for name, source in EXPERIMENT.config.sources.items() if isinstance(source, kinds))


def needs(stage):
    """What a stage's job asks for, by its model (or source) and attempt: gpu, mem_mb, runtime, disk_mb."""

    def asked(wildcards, attempt):
        return REQUIREMENTS.needs(stage, wildcards.get("model") or wildcards.source, attempt)

    def one(name):
        return lambda wildcards, attempt: asked(wildcards, attempt)[name]

    return {name: one(name) for name in Needs._fields}


wildcard_constraints:
    experiment=re.escape(NAME),
    seed=one_of(map(str, SEEDS)),
    source=one_of(EXPERIMENT.config.sources),
    mixture=one_of(EXPERIMENT.config.mixtures),
    suite=one_of(SUITES),
    model=one_of(EXPERIMENT.models),
    against=one_of(EXPERIMENT.models),
    judge=one_of(JUDGES),
    table=one_of(EXPERIMENT.config.tables),
    figure=one_of(EXPERIMENT.config.figures),
