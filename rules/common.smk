"""The experiment as the rules see it: its recipes, and which files belong to what.

REQUIRED INPUTS: the config. OUTPUTS: none; only names for the other rule files.
"""

import re
import sys

sys.path.insert(0, workflow.basedir)
shell.prefix(f"export PYTHONPATH={workflow.basedir}${{{{PYTHONPATH:+:$PYTHONPATH}}}}; ")

from workflow_scripts import session
from workflow_scripts.config import Init, Load, Merge, Train
from workflow_scripts.experiment import ConfigError, load
from workflow_scripts.recipes import Recipes

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
        session.start()
    except session.Refusal as refusal:
        print(refusal, file=sys.stderr)
        sys.exit(1)


HOW = RECIPES.how()
NAME = EXPERIMENT.config.experiment
SEEDS = EXPERIMENT.config.seeds
SUITES = list(EXPERIMENT.config.suites)
JUDGES = list(EXPERIMENT.config.judges)
WEIGHTS = ["config.json", "model.safetensors", "tokenizer.json"]


def one_of(names):
    """A wildcard that is one of these names and nothing else."""
    return "|".join(map(re.escape, names)) or "(?!)"


def models_of(kind, temporary=None):
    """A wildcard for the models of a kind."""
    models = EXPERIMENT.models.items()
    of_kind = [name for name, model in models if isinstance(model.row, kind)]
    return one_of(name for name in of_kind if temporary in (None, EXPERIMENT.temporary(name)))


wildcard_constraints:
    experiment=re.escape(NAME),
    seed=one_of(map(str, SEEDS)),
    source=one_of(EXPERIMENT.config.sources),
    mixture=one_of(EXPERIMENT.config.mixtures),
    suite=one_of(SUITES),
    model=one_of(EXPERIMENT.models),
    judge=one_of(JUDGES),
    table=one_of(EXPERIMENT.config.tables),
    figure=one_of(EXPERIMENT.config.figures),


def model_recipe(wildcards):
    return RECIPES.model(wildcards.model, int(wildcards.seed))


def manifest_of(name, wildcards):
    return f"results/{wildcards.experiment}/seed{wildcards.seed}/models/{name}/manifest.json"


def weights_of(name, wildcards):
    """The files that a model's consumer needs; a loaded model may be sharded, so its manifest stands for them."""
    folder = f"results/{wildcards.experiment}/seed{wildcards.seed}/models/{name}"
    return [] if isinstance(EXPERIMENT.models[name].row, Load) else [f"{folder}/{file}" for file in WEIGHTS]


def suites_of(model):
    return RECIPES.judged_suites(model)


def scores_for(section, item):
    """The scores that a table or figure is made from."""
    return [
        f"results/{NAME}/seed{seed}/scores/{RECIPES.judge_of(section, item)}/{model}/{suite}.parquet"
        for seed in SEEDS
        for model in RECIPES.item_models(section, item)
        for suite in suites_of(model)
    ]


def curves_for(item):
    """The learning curves that a figure shows."""
    return [f"results/{NAME}/seed{seed}/curves/{m}.parquet" for seed in SEEDS for m in RECIPES.item_models("figures", item)]


def every_data_file():
    kinds = {"sources": EXPERIMENT.config.sources, "mixtures": EXPERIMENT.config.mixtures, "suites": SUITES}
    return [f"results/{NAME}/data/{kind}/{name}.parquet" for kind, names in kinds.items() for name in names]


def every_model_file():
    files = []
    for seed in SEEDS:
        for name, model in EXPERIMENT.models.items():
            folder = f"results/{NAME}/seed{seed}/models/{name}"
            kept = [] if EXPERIMENT.temporary(name) or isinstance(model.row, Load) else WEIGHTS
            files += [f"{folder}/{file}" for file in ["manifest.json", "recipe.json", *kept]]
            files += [f"results/{NAME}/seed{seed}/curves/{name}.parquet"] if isinstance(model.row, Train) else []
    return files


def every_answer_and_score():
    return [
        f"results/{NAME}/seed{seed}/{kind}/{model}/{suite}.parquet"
        for seed in SEEDS
        for model in EXPERIMENT.evaluated
        for kind in ["generations", *(f"scores/{judge}" for judge in JUDGES)]
        for suite in (SUITES if kind == "generations" else suites_of(model))
    ]


def every_table():
    endings = ["csv", "md", "tex"]
    return [f"results/{NAME}/tables/{name}.{ending}" for name in EXPERIMENT.config.tables for ending in endings]


def every_figure():
    endings = ["svg", "png", "csv"]
    return [f"results/{NAME}/figures/{name}.{ending}" for name in EXPERIMENT.config.figures for ending in endings]
