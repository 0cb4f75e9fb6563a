"""Models: loaded, random, trained, merged."""

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from workflow_scripts.config.fields import deciding, executing
from workflow_scripts.config.models import Init, Load, Merge, Train
from workflow_scripts.config.training import Training
from workflow_scripts.data.allocation import allocate
from workflow_scripts.experiment.adapted import is_adapter
from workflow_scripts.experiment.model import Model, stated_chat
from workflow_scripts.experiment.stages._base import Entry, Outputs, Settings, settings_of, stage
from workflow_scripts.experiment.stages._places import CURVE, MANIFEST, MIXTURE, MODEL, OVERLAP, RECIPE
from workflow_scripts.experiment.table_of_models import Experiment
from workflow_scripts.merge import methods as merge_methods
from workflow_scripts.train.execution import counting

WEIGHTS = ("config.json", "model.safetensors", "tokenizer.json")
DESCRIBED: Outputs = {"manifest": MANIFEST, "recipe": RECIPE}
WHOLE: Outputs = {**DESCRIBED, "weights": [MODEL(file=file) for file in WEIGHTS]}
LABEL = "{model}, seed {seed}"


def weights(name: str, experiment: Experiment) -> list[str]:
    """The files that a model's consumer needs; a loaded model may be sharded, so its manifest stands for them.

    A temporary merge has none of its own; it may have to be made again from its parents'.
    """
    model = experiment.models[name]
    if experiment.temporary(name):
        return [file for parent in model.needs for file in weights(parent, experiment)]
    if isinstance(model.row, Load) and not is_adapter(model.row):
        return []
    return [MODEL(model=name, file=file) for file in WEIGHTS]


@stage("load", LABEL, DESCRIBED, work="train.load:fetch")
def load(experiment: Experiment) -> Iterator[Entry]:
    """A model that exists."""
    for wildcards, model in _of(Load, experiment):
        if is_adapter(model.row):
            continue
        inputs = {"model": model.name, "licence": model.row.licence}
        yield Entry(wildcards, partial(_loaded, experiment, model.row), {}, inputs)


@stage(
    "adapt",
    LABEL,
    WHOLE,
    work="train.adapters:adapt",
    packages=("torch", "transformers", "peft"),
    ancient=("weights",),
)
def adapt(experiment: Experiment) -> Iterator[Entry]:
    """A LoRA adapter that exists, merged into its base: a model of the table, or a local folder that it names."""
    for wildcards, model in _of(Load, experiment):
        if is_adapter(model.row):
            files: dict[str, list[str]] = {
                "base": [MANIFEST(model=name) for name in model.parents],
                "weights": [file for name in model.parents for file in weights(name, experiment)],
            }
            inputs = {"model": model.name, "licence": model.row.licence, "base": next(iter(model.parents), None)}
            yield Entry(wildcards, partial(settings_of, model.row), files, inputs)


@stage(
    "initialise",
    LABEL,
    WHOLE,
    work="train.random_model:initialise",
    packages=("torch", "transformers", "tokenizers"),
)
def initialise(experiment: Experiment) -> Iterator[Entry]:
    """A model with random weights."""
    for wildcards, model in _of(Init, experiment):
        # Fields that are not given are those of transformers' CohereConfig.
        architecture = experiment.config.architectures[model.row.init].model_dump(exclude_unset=True)
        seed = 1000 * int(wildcards["seed"]) + model.row.seed
        settings = {"architecture": architecture, "seed": seed}
        files = {"mixture": [MIXTURE(mixture=model.row.tokenizer)]}
        inputs = {"model": model.name, "mixture": model.row.tokenizer}
        yield Entry(wildcards, partial(Settings, settings, settings), files, inputs)


@stage(
    "train",
    LABEL,
    {**WHOLE, "curve": CURVE},
    work=("data.mixture:select", "train.trainer:train"),
    rows="train.methods",
    packages=("torch", "transformers", "trl", "accelerate", "peft"),
    ancient=("weights", "overlap"),  # must be there; their times never make a training stale
)
def train(experiment: Experiment) -> Iterator[Entry]:
    """A training of a parent on a mixture."""
    for wildcards, model in _of(Train, experiment):
        row, settings = model.row, model.settings
        assert isinstance(settings, Training)
        files: dict[str, list[str]] = {
            "parent": [MANIFEST(model=row.parent)],
            "weights": weights(row.parent, experiment),
            "mixture": [MIXTURE(mixture=row.mixture)],
            "overlap": [OVERLAP],
        }
        yield Entry(
            wildcards,
            partial(_training, experiment, model, int(wildcards["seed"])),
            files,
            {"model": model.name, "parent": row.parent, "mixture": row.mixture},
            executing(settings),
            row=settings.method,
        )


@stage(
    "merge",
    LABEL,
    WHOLE,
    work="merge.with_mergekit:merge",
    packages=("torch", "mergekit"),
    ancient=("weights",),
)
def merge(experiment: Experiment) -> Iterator[Entry]:
    """A merge of parents."""
    yield from _merges(experiment, temporary=False)


@stage(
    "merge_temporary",
    LABEL,
    DESCRIBED,
    work="merge.with_mergekit:merge",
    command="merge",
    packages=("torch", "mergekit"),
    ancient=("weights",),
)
def merge_temporary(experiment: Experiment) -> Iterator[Entry]:
    """A merge whose weights lie in the store until it has answered."""
    yield from _merges(experiment, temporary=True)


STAGES = [load, adapt, initialise, train, merge, merge_temporary]


def _of(kind: type, experiment: Experiment) -> Iterator[tuple[dict[str, str], Any]]:
    """The models of a kind, once for each seed."""
    for seed in experiment.config.seeds:
        for name, model in experiment.models.items():
            if isinstance(model.row, kind):
                yield {"seed": str(seed), "model": name}, model


def _loaded(experiment: Experiment, row: Load) -> Settings:
    """A row of `load`, with the text of its chat template in place of the file."""
    mine, chat = settings_of(row), settings_of(stated_chat(row, experiment.config))
    if file := chat.all["template"]:
        text = {"template": Path(file).read_text(encoding="utf-8")}
        chat = Settings(chat.deciding | text, chat.all | text)
    return Settings(mine.deciding | ({"chat": chat.deciding} if chat.deciding else {}), mine.all | {"chat": chat.all})


def _training(experiment: Experiment, model: Model, seed: int) -> Settings:
    assert isinstance(model.row, Train) and isinstance(model.settings, Training)
    settings, fractions = model.settings, experiment.config.mixtures[model.row.mixture].parts
    rows = experiment.training(model).rows
    counts = allocate(model.row.per_language, fractions) if model.row.per_language else None
    more: dict[str, Any] = {"per_language": counts} if counts else {}
    select = settings_of(model.row, **more)
    chosen = ("languages", "parts", "per_language")
    mine = settings_of(settings, settings.method, counting(settings.model_dump(), rows))
    own = 1000 * seed + model.row.reseed
    picked = {name: value for name, value in select.deciding.items() if name in chosen}
    return Settings(
        mine.deciding | {"seed": own} | ({"select": picked} if picked else {}),
        mine.all | {"seed": own, "select": {name: select.all[name] for name in chosen}},
    )


def _merges(experiment: Experiment, temporary: bool) -> Iterator[Entry]:
    for wildcards, model in _of(Merge, experiment):
        if experiment.temporary(model.name) != temporary:
            continue
        files: dict[str, list[str]] = {
            "parents": [MANIFEST(model=name) for name in model.parents],
            "base": [MANIFEST(model=model.base)] if model.base else [],
            "weights": [file for name in model.needs for file in weights(name, experiment)],
        }
        inputs = {"model": model.name, "parents": list(model.parents), "base": model.base}
        execution: Mapping[str, Any] = {
            "temporary": temporary,
            "waiting_merges": experiment.config.machine.waiting_merges if temporary else None,
        }
        stated = model.merge_recipe(int(wildcards["seed"]))
        decides = {
            *deciding(model.settings),
            *(one for one in ("seed", "tokenizer_from") if stated.get(one) is not None),
        }
        settings = {name: value for name, value in stated.items() if name in decides}
        own = (f"{merge_methods.KIND}/{stated['method']}.py",) if merge_methods.own(stated["method"]) else ()
        yield Entry(wildcards, partial(Settings, settings, stated), files, inputs, execution, units=own)
