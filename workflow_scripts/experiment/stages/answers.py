"""The answers of models to the suites."""

from collections.abc import Iterator
from functools import partial

from workflow_scripts.config.fields import executing
from workflow_scripts.experiment.stages._base import Entry, Outputs, Settings, settings_of, stage
from workflow_scripts.experiment.stages._places import ANSWERS, MANIFEST, OVERLAP, SUITE
from workflow_scripts.experiment.stages.models import weights
from workflow_scripts.experiment.table_of_models import Experiment
from workflow_scripts.generate import engine
from workflow_scripts.generate.engines import ENGINES
from workflow_scripts.metrics import METRICS

GREEDY = {"top_p": 1.0, "seed": 0}  # what sampling depends on; without it they stand so, whatever the config says


def answered(experiment: Experiment) -> list[str]:
    """The suites that models answer: all but those that bring their answers along.

    By metric, then by name, whatever the order in the file, which decides nothing: what is resampled together lies in
    this order.
    """
    suites = experiment.config.suites
    names = sorted(name for name, suite in suites.items() if not METRICS[suite.metric].labelled)
    return sorted(names, key=lambda name: suites[name].metric, reverse=True)


def _outputs(experiment: Experiment) -> Outputs:
    return {"answers": [ANSWERS(suite=suite) for suite in answered(experiment)]}


@stage(
    "generate",
    "{model}, seed {seed}",
    _outputs,
    work=("generate.generate:answer", "generate.generate:_row"),
    rows="generate.engines",
    ancient=("weights", "overlap"),  # a suite that came later is checked as well
)
def generate(experiment: Experiment) -> Iterator[Entry]:
    """A model's answers to all suites, with one start of the engine."""
    config, suites = experiment.config, answered(experiment)
    chosen: str = config.generation.engine
    if chosen == "auto":  # jobs may run on another machine than this one
        chosen = "vllm" if config.machine.gpus_per_node else engine.resolve(chosen)
    for seed in config.seeds:
        for model in experiment.evaluated:
            yield Entry(
                {"seed": str(seed), "model": model},
                partial(_settings, experiment),
                {
                    "manifest": [MANIFEST(model=model)],
                    "weights": weights(model, experiment),
                    "suites": [SUITE(suite=suite) for suite in suites],
                    "overlap": [OVERLAP],
                },
                {"model": model, "suites": suites},
                executing(config.generation),
                row=chosen,
                packages=ENGINES[chosen].packages,
            )


STAGES = [generate]


def _settings(experiment: Experiment) -> Settings:
    """What decides the answers; which engine gives them is said by its unit of code."""
    generation = experiment.config.generation
    found = settings_of(generation if generation.temperature else generation.model_copy(update=GREEDY))
    return Settings({name: value for name, value in found.deciding.items() if name != "engine"}, found.all)
