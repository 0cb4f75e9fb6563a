"""Command: what would fail hours later, found before a job is queued: models, keys, memory, disks, the budget.

Runs by itself where jobs are submitted; the network is not asked.  Every finding is a line that says what to do.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from workflow_scripts.base import disk
from workflow_scripts.base.errors import UserError
from workflow_scripts.base.job import RESULTS, STORE
from workflow_scripts.config.models import Load
from workflow_scripts.config.training import Training
from workflow_scripts.experiment import options
from workflow_scripts.experiment.artifacts import Artifacts
from workflow_scripts.forecast.quote import Quote, over_budget, quote
from workflow_scripts.forecast.resources import Requirements, weights_folder
from workflow_scripts.llm.request import RULES
from workflow_scripts.models import contents, model_size

KEYS = {"cohere_chat": ("COHERE_API_KEY", "CO_API_KEY")}  # provider -> variables of which one is enough
ROOM = 0.8  # of a GPU may be weights when answering; the rest is for keys, values and what else the engine holds


def findings(found: Artifacts) -> list[str]:
    """Everything that stands against a run, a line each."""
    sizes = Requirements(found.experiment)
    lines = [*hub(found), *keys(found), *sizes.unknown(), *memory(found, sizes)]
    try:
        costs = quote(found)
    except UserError as error:
        return list(dict.fromkeys([str(error), *lines]))
    return list(dict.fromkeys([*lines, *disks(found, costs), *over_budget(found, costs)]))


def hub(found: Artifacts) -> Iterator[str]:
    """Models and datasets that are in no folder and not whole in the hub's cache."""
    if found.experiment.config.machine.network:
        return
    for name, model in found.experiment.models.items():
        if isinstance(model.row, Load) and not Path(model.row.load).is_dir():
            missing = _missing(model.row.load, str(model.row.revision), model.row.base is not None)
            yield from _not_cached(f"models.{name}.load", model.row.load, model.row.revision, missing)
    for name, source in found.experiment.config.sources.items():
        dataset: Any = getattr(source, "dataset", None)
        if dataset and not Path(dataset).exists():
            revision = getattr(source, "revision", None)
            missing = [] if _snapshot(dataset, revision, "dataset") else ["all of it"]
            yield from _not_cached(f"sources.{name}.dataset", dataset, revision, missing, " --repo-type dataset")
    for name, translator in found.experiment.config.translators.items():
        fetched, fetched_at = getattr(translator, "model", None), getattr(translator, "revision", None)
        if fetched and not Path(fetched).is_dir():
            missing = [] if _snapshot(fetched, fetched_at, "model") else ["all of it"]
            yield from _not_cached(f"translators.{name}.model", fetched, fetched_at, missing)


def keys(found: Artifacts) -> Iterator[str]:
    """Judges and other language models whose provider wants a key that the environment does not have."""
    for section, models in (("judges", found.experiment.config.judges), ("llms", found.experiment.config.llms)):
        for name, asked in models.items():
            if missing := [] if asked.model.startswith(RULES) else _missing_keys(asked.model, asked.api_base):
                named = ", ".join(missing)
                yield f"{section}.{name}.model: {asked.model} wants {named} in the environment, not set; set it"


def memory(found: Artifacts, sizes: Requirements) -> Iterator[str]:
    """Trainings and answers that the machine's GPUs have no memory for, or that want more GPUs than a node has."""
    machine, said = found.experiment.config.machine, set[object]()
    if not machine.gpus_per_node:
        return
    for name, model in found.experiment.models.items():
        architecture = sizes.architecture(name)
        if isinstance(model.settings, Training) and architecture:
            device = machine.gpu_memory * model_size.GIB
            why = model_size.shortage(architecture, model.settings.model_dump(), device, machine.gpus_per_node)
            at = f"training.{getattr(model.row, 'train', '')}"
            if why and (at, why) not in said:  # once for all models of one setting
                said.add((at, why))
                yield f"{at} (models.{name}): {why}"
        parts = found.experiment.config.generation.tensor_parallel
        if (share := sizes.weights(name) / parts / model_size.GIB) > ROOM * machine.gpu_memory and "share" not in said:
            said.add("share")
            yield (
                f"generation.tensor_parallel: each of {parts} GPUs would hold {share:.0f} GiB of weights "
                f"(models.{name}) of its {machine.gpu_memory:g}; raise it"
            )
        for stage in ("train", "generate"):
            if isinstance(model.settings, Training) and sizes.gpus(stage, name) > machine.gpus_per_node:
                at = f"training.{getattr(model.row, 'train', '')}" if stage == "train" else "generation.tensor_parallel"
                wanted = f"wants {sizes.gpus(stage, name)} GPUs, and a node has {machine.gpus_per_node}"
                if (at, wanted) not in said:
                    said.add((at, wanted))
                    yield f"{at}: {wanted} (machine.gpus_per_node); ask for as many"


def disks(found: Artifacts, costs: Quote) -> Iterator[str]:
    """The disk of the weights, if what is still to be written at the highest point does not go onto it."""
    folder = weights_folder(found.experiment) or RESULTS
    free, written = disk.free(folder), _written(STORE / "models")
    owed = max(0.0, costs.peak_bytes - written)
    if owed > free:
        yield (
            f"{folder}: has {free / 1e9:.0f} GB free, and up to {owed / 1e9:.0f} GB more are written at once; free "
            "some, set machine.weights to a disk with room, or keep fewer merges (keep_merges, machine.waiting_merges)"
        )


def _written(models: Path) -> int:
    """Bytes of weights that lie in the store."""
    return sum(path.stat().st_size for path in models.glob("*/*.safetensors"))


def _not_cached(at: str, name: str, revision: str | None, missing: list[str], kind: str = "") -> Iterator[str]:
    if missing:
        what = ", ".join(missing[:3]) + (f" and {len(missing) - 3} more" if len(missing) > 3 else "")
        yield (
            f"{at}: {name} at {revision} is not in the hub's cache ({what}); where there is a network: "
            f"`hf download {name} --revision {revision}{kind}` (a gated one needs HF_TOKEN), or set machine.network"
        )


def _missing(name: str, revision: str, is_adapter: bool) -> list[str]:
    """Files of a model that loading it needs and the cache does not have: its config, tokenizer and every shard."""
    if is_adapter:
        needed = (contents.ADAPTER, contents.ADAPTER_WEIGHTS)
        return [file for file in needed if _cached(name, file, revision) is None]
    found = {file: _cached(name, file, revision) for file in ("config.json", "tokenizer.json")}
    index, single = "model.safetensors.index.json", "model.safetensors"
    if path := _cached(name, index, revision):
        try:
            shards = set(json.loads(Path(path).read_text(encoding="utf-8"))["weight_map"].values())
        except (OSError, ValueError, KeyError):
            return [index]
        found |= {shard: _cached(name, shard, revision) for shard in sorted(shards)}
    else:
        found[single] = _cached(name, single, revision)
    return [file for file, path in found.items() if path is None]


def _cached(name: str, file: str, revision: str) -> str | None:
    from huggingface_hub import try_to_load_from_cache

    path = try_to_load_from_cache(name, file, revision=revision)
    return path if isinstance(path, str) else None


def _snapshot(name: str, revision: str | None, kind: str) -> bool:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        snapshot_download(name, revision=revision, repo_type=kind, local_files_only=True)
    except LocalEntryNotFoundError:
        return False
    return True


def _missing_keys(model: str, api_base: str | None) -> list[str]:
    """What a model needs in the environment, by litellm, and by `KEYS` where litellm does not know."""
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # nothing is fetched
    import litellm

    try:
        provider = litellm.get_llm_provider(model)[1]
    except litellm.BadRequestError:
        return []  # a provider that litellm does not know is named when it is asked
    if names := KEYS.get(provider):
        return [] if any(os.environ.get(name) for name in names) else [names[0]]
    missing = litellm.validate_environment(model)["missing_keys"]
    return [str(key) for key in missing if not (api_base and key.endswith("_API_BASE"))]


def main(arguments: list[str]) -> None:
    """Command line."""
    found = options.experiment("preflight", __doc__, arguments)
    if lines := findings(found):
        raise UserError("\n".join(["not ready:", *lines]))
    print("Ready: models, keys, memory, disks and budget are as the experiment needs them.")
