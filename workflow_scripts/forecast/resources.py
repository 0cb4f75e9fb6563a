"""What the job of each stage asks for: GPUs, memory, time and disk, from the model's size and the machine.

The only place where sizes become requests; rules read it, the quote and the preflight too.  `set-resources` of a
profile overrides any of it.  Nothing here changes a result.
"""

import json
import math
import os
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from workflow_scripts.base.errors import UserError
from workflow_scripts.config.merging import Merging
from workflow_scripts.config.models import Init, Load, Merge
from workflow_scripts.config.training import Training
from workflow_scripts.experiment import adapted, kept
from workflow_scripts.experiment.artifacts import Artifact
from workflow_scripts.experiment.table_of_models import Experiment
from workflow_scripts.forecast import work_counts
from workflow_scripts.models import model_size, shape


class Needs(NamedTuple):
    """What a job asks for."""

    gpu: int
    mem_mb: int
    runtime: int  # minutes
    disk_mb: int


GIB = model_size.GIB
PROCESS = 6 * GIB  # main memory of a process that has torch and its libraries, and no model yet
WORDS = 32768  # a bound of the vocabulary that a miniature's tokenizer makes from its mixture
SLACK = 2.0  # a stated throughput is a mean; jobs share machines
FOUND = Needs(gpu=0, mem_mb=2000, runtime=1, disk_mb=0)  # of a job that finds its work in the store
BRIEF = 30  # minutes: what takes no longer is not looked for
START = 0.5  # hours: imports, weights from a slow disk, an engine's start


class Requirements:
    """Sizes and requests of one experiment's models; cheap, and computed once for each."""

    def __init__(self, experiment: Experiment) -> None:
        self.experiment, self.machine = experiment, experiment.config.machine
        self.of = cache(self._of)
        self.in_store = cache(kept.in_store)  # four questions about each job, and rows are hashed for the answer
        self.architecture = cache(self._architecture)

    def needs(self, artifact: Artifact, attempt: int = 1, looks: bool = False) -> dict[str, int]:
        """What the job of an artifact asks for.

        Args:
            artifact: of one of the stages that ask for anything.
            attempt: more memory at each, for a kill may have been for memory.
            looks: whether to look into the store: a job that finds its work there asks for hardly anything.
        """
        needs = self.of(artifact.stage.command, artifact.wildcards.get("model") or artifact.wildcards["source"])
        if looks and (needs.gpu or needs.runtime > BRIEF) and self.in_store(artifact):
            return FOUND._asdict()
        return {**needs._asdict(), "mem_mb": needs.mem_mb * (attempt + 1) // 2}

    def _of(self, stage: str, model: str) -> Needs:
        """What a stage's job asks for: initialise, load, train, merge, generate of a model; translate of a source."""
        if stage == "translate":
            return self._translation(model)
        hours = self.hours(stage, model)
        longest = self.machine.longest
        runtime = longest if hours is None else min(longest, START + SLACK * hours)
        memory, disk = self._memory(stage, model), self.disk(stage, model)
        return Needs(self.gpus(stage, model), _mb(memory), math.ceil(60 * runtime), _mb(disk))

    def _translation(self, source: str) -> Needs:
        """A translation model takes one GPU, where there are some; a language model is asked elsewhere."""
        config: Any = self.experiment.config
        is_model = hasattr(config.translators[config.sources[source].translator], "model")
        gpus = int(is_model and self.machine.gpus_per_node > 0)
        return Needs(gpus, _mb(PROCESS * (4 if is_model else 1)), math.ceil(60 * self.machine.longest), 0)

    def gpus(self, stage: str, model: str) -> int:
        """GPUs of a job: the processes of a training, the parts of an engine; 0 where the machine has none."""
        if not self.machine.gpus_per_node:
            return 0
        if stage == "train":
            return int(getattr(self.experiment.models[model].settings, "processes", 1))
        return self.experiment.config.generation.tensor_parallel if stage == "generate" else 0

    def hours(self, stage: str, model: str) -> float | None:
        """How long a job takes by the stated throughputs; None where none is stated, or the size is not known."""
        machine, config = self.machine, self.experiment.config
        if stage == "train" and machine.training:
            tokens = work_counts.learning(self.experiment, model).tokens
            return tokens / machine.training / max(1, self.gpus(stage, model)) / 3600
        if stage == "generate" and machine.generation:
            length = min(config.lengths.answer, config.generation.max_new_tokens)
            tokens = work_counts.answers(self.experiment) * length
            return tokens / machine.generation / max(1, self.gpus(stage, model)) / 3600
        if stage == "merge":
            moved = sum(self.weights(name) for name in (*self.experiment.models[model].needs, model))
            return moved / (machine.merging * 1e9) / 3600
        return None if stage in ("train", "generate") else 0.0

    def weights(self, model: str) -> int:
        """Bytes of a model's weights; 0 where its size is not known."""
        architecture = self.architecture(model)
        return model_size.model_bytes(architecture, self.dtype(model)) if architecture else 0

    def disk(self, stage: str, model: str) -> float:
        """Bytes that a job may write to the weights' disk: checkpoints, and a temporary merge that is made again."""
        experiment, architecture = self.experiment, self.architecture(model)
        if stage == "generate":
            return self.weights(model) if experiment.temporary(model) else 0
        settings = experiment.models[model].settings
        if architecture and isinstance(settings, Training):
            return model_size.training_disk(architecture, settings.model_dump(), self.dtype(model)).peak
        return self.weights(model)

    def dtype(self, model: str) -> str:
        """The data type of a model's weights: its merge's, or its parent's, or what its config.json says."""
        chosen = self.experiment.models[model]
        match chosen.row:
            case Init():
                return "float32"
            case Load() if not chosen.needs:
                architecture = self.architecture(model) or {}
                said = architecture.get("dtype") or architecture.get("torch_dtype")
                return said if said in model_size.BYTES else "bfloat16"
            case Merge():
                return getattr(chosen.settings, "out_dtype", None) or self.dtype(chosen.parents[0])
            case _:
                return self.dtype(chosen.needs[0])

    def unknown(self) -> list[str]:
        """A line for each model that exists and whose size nothing here tells."""
        return [
            f"models.{name}.load: the size of {model.row.load} is not known, since its config.json is not in the hub's "
            "cache; fetch it, or state `architecture` in the row (what its config.json says)"
            for name, model in self.experiment.models.items()
            if isinstance(model.row, Load) and self.architecture(name) is None
        ]

    def _memory(self, stage: str, model: str) -> float:
        """Main memory of a job: with GPUs it feeds them, without it holds what they would."""
        architecture, settings = self.architecture(model), self.experiment.models[model].settings
        if architecture is None or stage in ("initialise", "load"):
            return PROCESS
        if stage == "adapt":
            return PROCESS + 2 * model_size.model_bytes(architecture, "float32")
        on_cpu = not self.gpus(stage, model)
        if isinstance(settings, Merging) and stage == "merge":
            parents = len(self.experiment.models[model].needs)
            return PROCESS + model_size.merge_memory(architecture, parents)
        if isinstance(settings, Training) and stage == "train":
            given = settings.model_dump()
            if on_cpu:
                return PROCESS + model_size.training_memory(architecture, given).total
            # One process reads the weights, and gathers them in float32 when a checkpoint is written.
            return self.gpus(stage, model) * PROCESS + 1.5 * model_size.model_bytes(architecture, "float32")
        given = self.experiment.config.generation.model_dump()
        if on_cpu:
            return PROCESS + model_size.generation_memory(architecture, given).total
        return self.gpus(stage, model) * PROCESS + 1.25 * self.weights(model)

    def _architecture(self, model: str) -> dict[str, Any] | None:
        """What the config.json of a model says, from the first model that it was made from."""
        chosen = self.experiment.models[model]
        match chosen.row:
            case Init():
                architecture = self.experiment.config.architectures[chosen.row.init]
                return {**architecture.model_dump(), "vocab_size": WORDS}
            case Load() if not chosen.needs:
                known = config_of(chosen.row) or chosen.row.architecture
                return known if known and shape.is_known(known) else None
            case _:
                return self.architecture(chosen.needs[0])


def config_of(row: Load) -> dict[str, Any] | None:
    """The config.json of a model that exists, from its folder or the hub's cache; None where it is in neither."""
    try:
        path: Any = adapted.root_folder(row) / "config.json"
    except UserError:
        return None
    if not path.is_file():
        if row.revision is None:
            return None
        from huggingface_hub import try_to_load_from_cache

        path = try_to_load_from_cache(row.load, "config.json", revision=row.revision)
        if not isinstance(path, str):
            return None
    try:
        return dict(json.loads(Path(path).read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return None


def weights_folder(experiment: Experiment) -> Path | None:
    """Where the config puts the weights, variables filled in; None: in results/.

    Raises:
        UserError: a variable is not set.
    """
    folder = experiment.config.machine.weights
    if folder is None:
        return None
    if "$" in (filled := os.path.expandvars(folder)):
        raise UserError(f"machine.weights: a variable of {folder} is not set; set it, or name the folder")
    return Path(filled).expanduser()


def _mb(size: float) -> int:
    return math.ceil(size / 1e6)
