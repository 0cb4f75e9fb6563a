"""Merges models with mergekit: its planner, its methods, its arithmetic, on any number of threads with the same bits.

mergekit's command cannot be used as it is: it refuses Cohere models without query and key norms, draws unseeded, sums
in an order that depends on the number of threads, and writes a README with paths.  Its parts can: this module plans a
merge with mergekit's planner and executes the plan tensor by tensor.  docs/merging.md says what differs and why.
"""

import contextlib
import hashlib
import json
import re
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from workflow_scripts.base import work_counter
from workflow_scripts.base.errors import UserError
from workflow_scripts.merge.settings import OUTSIDE_LAYERS, build_config, check, has_gradient
from workflow_scripts.models import directory
from workflow_scripts.models.architecture import check_compatible
from workflow_scripts.models.tensor_file import SafetensorsFile

MERGEKIT = "0.1.5"  # its planner and executor are not a public interface: another version must be read first

try:
    from mergekit.architecture.base import ModelArchitecture, ModuleArchitecture, ModuleDefinition, WeightInfo
    from mergekit.config import MergeConfiguration
    from mergekit.graph import Executor
    from mergekit.io.tasks import LoaderCache, SaveTensor
    from mergekit.options import MergeOptions
    from mergekit.plan import MergePlanner
except ImportError as error:
    raise UserError(f"mergekit {MERGEKIT} cannot be imported ({error}); pip install mergekit=={MERGEKIT}") from None

_LAYER = re.compile(r"\.(\d+)\.")
_GENERATOR = threading.Lock()  # torch's default generator, which mergekit draws from, is one per process

_WORKERS = 8  # at most: each holds a tensor's task vectors of all parents, some GB in an 8B model

Shapes = dict[str, tuple[int, ...]]


class _Tensors(ModuleArchitecture):  # type: ignore[misc]
    """An architecture that is the list of tensors which the parents hold.

    mergekit's own tables list what a model class may hold: they demand q_norm and k_norm of every Cohere model, and
    pass over in silence what they do not list, such as biases.
    """

    def __init__(self, names: list[str]) -> None:
        self.outside: list[WeightInfo] = []
        self.layers: dict[int, list[WeightInfo]] = {}
        for name in names:
            layer = _LAYER.search(name)
            (self.layers.setdefault(int(layer[1]), []) if layer else self.outside).append(WeightInfo(name=name))

    def pre_weights(self, config: Any) -> list[WeightInfo]:
        return self.outside

    def post_weights(self, config: Any) -> list[WeightInfo]:
        return []

    def layer_weights(self, index: int, config: Any) -> list[WeightInfo]:
        return self.layers[index]

    def num_layers(self, config: Any) -> int:
        return len(self.layers)


def merge(recipe: dict[str, Any], parents: list[Path], base: Path | None, output: Path) -> dict[str, Any]:
    """Merge models into a model directory.

    The weights depend on the recipe and the parents' weights alone: not on paths, time, or the number of threads,
    which is torch's when called (OMP_NUM_THREADS).  On an exception, `output` is as it was before.

    Args:
        recipe: see `settings.check` and `settings.build_config`; other keys are not looked at.
        parents: model directories of safetensors, sharded or not; the first gives config and tokenizer.
        base: model directory, where the method needs one.
        output: directory to write config.json, model.safetensors and the tokenizer to.

    Returns:
        Facts: `tensors` and `parameters` merged; for SLERP, `slerp_linear_share`, the share of the parameters that
        were interpolated linearly since their tensors point the same way.

    Raises:
        UserError: settings are wrong, models do not fit each other, a file is missing or truncated, a merged weight
            is not finite, or mergekit is of another version.
    """
    check(recipe, len(parents), base is not None)
    if (installed := metadata.version("mergekit")) != MERGEKIT:
        raise UserError(
            f"mergekit {installed} is installed, but merges need {MERGEKIT}; pip install mergekit=={MERGEKIT}"
        )
    shapes = _check_models(parents + ([base] if base else []), outside_matters=has_gradient(recipe))

    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".merge-", dir=output.parent) as folder:
        scratch = Path(folder).resolve()
        # Links keep models apart that are one directory: mergekit tells them apart by path.
        links = [_link(scratch / f"parent{index}", parent) for index, parent in enumerate(parents)]
        config = build_config(recipe, links, _link(scratch / "base", base) if base else None)
        result = scratch / "result"
        result.mkdir()
        facts = _write_weights(config, recipe.get("seed"), shapes, result / "model.safetensors")
        _write_config(parents[0], recipe["dtype"], result / "config.json")
        directory.copy_companions(parents[0], result)
        output.mkdir(exist_ok=True)
        for file in sorted(result.iterdir()):
            file.replace(output / file.name)
    return facts


def _link(link: Path, model: Path) -> Path:
    link.symlink_to(model.resolve(), target_is_directory=True)
    return link


def _check_models(models: list[Path], outside_matters: bool) -> Shapes:
    """The shapes of the tensors that all models hold alike; refuses models that do not."""
    first, *others = models
    config, shapes = directory.read_config(first), _shapes(first)
    for other in others:
        if difference := check_compatible([config, directory.read_config(other)]):
            raise UserError(
                f"{other}/config.json: {difference} as in {first}; models of one architecture can be merged"
            )
        if different := sorted(shapes.items() ^ _shapes(other).items()):
            raise UserError(f"{other}: tensor {different[0][0]} is not as in {first}; merge models of one architecture")
    layers = {int(layer[1]) for name in shapes if (layer := _LAYER.search(name))}
    if layers != set(range(len(layers))):
        raise UserError(f"{first}: layers are not numbered from 0 without gaps; merge whole models")
    parts = [part for place in OUTSIDE_LAYERS.values() for part in place]
    for name in shapes if outside_matters else ():
        if not _LAYER.search(name) and not any(part in name for part in parts):
            raise UserError(f"{first}: tensor {name} lies in no layer, so a gradient has no value for it; use numbers")
    return shapes


def _shapes(model: Path) -> Shapes:
    return {name: tensor.shape for name, tensor in directory.float_tensors(model).items()}


def _write_weights(config: dict[str, Any], seed: int | None, shapes: Shapes, path: Path) -> dict[str, Any]:
    """Plan with mergekit, execute the plan a tensor at a time, and write each tensor to the file when it is made.

    So a merge of 8B models holds a few tensors of each parent in memory, and never the whole result.
    """
    is_slerp = config["merge_method"] == "slerp"

    def execute(target: SaveTensor) -> tuple[int, bool]:
        name, compute, gather = target.tensor_name, target.tensor_task, target.tensor_task.gather_tensors
        with contextlib.nullcontext() if seed is None else _seeded(draw_seed(seed, name)):
            values = dict(Executor([gather, compute]).run(quiet=True))
        if not values[compute].isfinite().all():
            raise UserError(
                f"merge by {config['merge_method']}: {name} has values that are not finite; see its weights"
            )
        result.write(name, values[compute])
        return values[compute].numel(), is_slerp and interpolates_linearly(*values[gather].values())

    parsed = MergeConfiguration.model_validate(config)
    module = ModuleDefinition(architecture=_Tensors(sorted(shapes)))
    architecture = ModelArchitecture(modules={"default": module}, architectures=[], model_type="")
    try:
        model_config = parsed.models[0].model.config()
        plan = MergePlanner(parsed, architecture, MergeOptions(), model_config).plan_to_disk(str(path.parent))
        tensors = parameters = linear = 0
        with SafetensorsFile(path, shapes, config["dtype"]) as result, _one_thread_a_tensor() as pool:
            for count, is_linear in pool.map(execute, (task for task in plan if isinstance(task, SaveTensor))):
                work_counter.count("merged_tensors")
                tensors += 1
                parameters += count
                linear += count * is_linear
    finally:
        LoaderCache().flush_all()
        LoaderCache.loaders.clear()  # it would keep the parents' files open for as long as the process lives
    share = {"slerp_linear_share": linear / parameters} if is_slerp else {}
    return {"tensors": tensors, "parameters": parameters, **share}


@contextlib.contextmanager
def _one_thread_a_tensor() -> Iterator[ThreadPoolExecutor]:
    """As many workers as torch has threads, each computing with one: sums keep one order, tensors run side by side."""
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        with ThreadPoolExecutor(min(threads, _WORKERS), initializer=torch.set_num_threads, initargs=(1,)) as pool:
            yield pool
    finally:
        torch.set_num_threads(threads)


@contextlib.contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Have torch's generator to oneself, from a seed, and give it back as it was."""
    with _GENERATOR, torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def draw_seed(seed: int, name: str) -> int:
    """The seed of a tensor's draws: other tensors, their order and the threads have no part in it.

    The parents' masks are drawn one after another from it, in the parents' order.
    """
    return int.from_bytes(hashlib.sha256(f"{seed} {name}".encode()).digest()[:4], "big")


def interpolates_linearly(first: torch.Tensor, second: torch.Tensor) -> bool:
    """Whether mergekit's SLERP falls back to linear interpolation: |cosine| > 0.9995.

    Follows mergekit 0.1.5's steps in its precision and order (merge_methods/slerp.py): float32, in chunks.
    """
    sides = [torch.split(tensor.reshape(1, -1), 1024**2, dim=1) for tensor in (first, second)]
    norms = []
    for chunks in sides:
        parts = [torch.linalg.vector_norm(chunk.float(), dim=1, keepdim=True) for chunk in chunks]
        norm = torch.linalg.vector_norm(torch.stack(parts), dim=0)
        norms.append(torch.where(norm > 1e-8, norm, 1))
    pairs = zip(*sides, strict=True)
    dots = [((x.float() / norms[0]) * (y.float() / norms[1])).sum(dim=1, keepdim=True) for x, y in pairs]
    return bool(torch.stack(dots).sum(dim=0).clamp(-1, 1).abs() > 0.9995)


def _write_config(parent: Path, dtype: str, path: Path) -> None:
    config = directory.read_config(parent)
    for key in ("_name_or_path", "torch_dtype"):
        config.pop(key, None)
    text = json.dumps({**config, "dtype": dtype}, indent=2, sort_keys=True, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")
