"""Merges models by mergekit's methods, a tensor at a time, on any number of threads with the same bits.

mergekit computes: `mergekit.merge_methods.merge_tensors`, its public interface, merges one tensor of all parents.  What
surrounds it is here: reading the parents, a parameter's value for each tensor, seeds of what is drawn, writing the
model.  docs/merging.md says how that differs from mergekit's command, and why.
"""

import contextlib
import hashlib
import json
import random
import re
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from safetensors import safe_open

from workflow_scripts.base import work_counter
from workflow_scripts.base.errors import UserError
from workflow_scripts.merge import methods, settings
from workflow_scripts.models import directory, meaning
from workflow_scripts.models.architecture import check_compatible
from workflow_scripts.models.directory import COMPUTED
from workflow_scripts.models.tensor_file import DTYPES, SafetensorsFile

MERGEKIT = "0.1.5"  # the table of methods was made from it

try:
    from mergekit.merge_methods import BasePolicy, MergeMethod, get, merge_tensors, registered_methods

    from workflow_scripts.merge.describe_methods import registered
except ImportError as error:
    raise UserError(f"mergekit {MERGEKIT} cannot be imported ({error}); pip install mergekit=={MERGEKIT}") from None

_LAYER = re.compile(r"\.(\d+)\.")
_GENERATORS = threading.Lock()  # those that code draws from by default, as mergekit does, are one per process

_WORKERS = 8  # at most: each holds a tensor's task vectors of all parents, some GB in an 8B model

Shapes = dict[str, tuple[int, ...]]


class Layout(NamedTuple):
    """The tensors of a model by common names: their names on disk, and their shapes."""

    names: dict[str, str]
    shapes: Shapes


class _Merge(NamedTuple):
    """What is merged how."""

    recipe: dict[str, Any]
    method: MergeMethod
    models: list[tuple[Path, dict[str, str]]]  # in the order that mergekit sees; names of tensors -> those on disk
    base_index: int | None


class _Weights:
    """The tensors of a model, read from its files when they are asked for."""

    def __init__(self, model: Path, names: dict[str, str], stack: contextlib.ExitStack) -> None:
        self._files: dict[str, Any] = {}
        self._names = names
        for path in directory.weight_files(model):
            file = stack.enter_context(safe_open(path, framework="pt"))
            self._files |= dict.fromkeys(file.keys(), file)

    def __getitem__(self, name: str) -> torch.Tensor:
        on_disk = self._names[name]
        tensor: torch.Tensor = self._files[on_disk].get_tensor(on_disk)
        return tensor


def merge(recipe: dict[str, Any], parents: list[Path], base: Path | None, output: Path) -> dict[str, Any]:
    """Merge models into a model directory.

    The weights depend on the recipe and the parents' weights alone: not on paths, time, or the number of threads,
    which is torch's when called (OMP_NUM_THREADS).  On an exception, `output` is as it was before.

    Args:
        recipe: as `settings.complete` gives it; `dtype` is the data type of the arithmetic, by default float32, and
            `out_dtype` what is written, by default the data type of each tensor in the parents.
        parents: model directories of safetensors, sharded or not; the first gives config and tokenizer.
        base: model directory, where the method takes one; where it needs one that is among those it merges, as
            SLERP does, it is the first parent.
        output: directory to write config.json, model.safetensors and the tokenizer to.

    Returns:
        Facts: `tensors` and `parameters` merged; for SLERP, `slerp_linear_share`, the share of the parameters that
        were interpolated linearly since their tensors point the same way.

    Raises:
        UserError: models do not fit each other, a file is missing or truncated, a merged weight is not finite, the
            method refuses what it is given or fails, or mergekit is of another version.
    """
    if (installed := metadata.version("mergekit")) != MERGEKIT:
        raise UserError(
            f"mergekit {installed} is installed, but merges need {MERGEKIT}; pip install mergekit=={MERGEKIT}"
        )
    models = [*parents, *([base] if base else [])]
    layouts = _layouts(models)
    shapes = layouts[0].shapes
    _check_models(models, shapes, outside_matters=settings.has_gradient(recipe))
    keeps = recipe.get("tokenizer_from")
    meaning.check_tokens(parents, base, keeps is not None)
    dtypes = _written(recipe.get("out_dtype"), layouts[: len(parents)], parents)
    method = _method(recipe["method"])
    has_base = base is not None or method.spec.contract.base is BasePolicy.REQUIRED

    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".merge-", dir=output.parent) as folder:
        result = Path(folder)
        order = [*range(len(parents), len(models)), *range(len(parents))]  # mergekit sees the base first
        sides = [(models[one], layouts[one].names) for one in order]
        what = _Merge(recipe, method, sides, 0 if has_base else None)
        facts = _write_weights(what, shapes, dtypes, result / "model.safetensors")
        sizes = Counter[str]()
        for name, dtype in dtypes.items():
            sizes[dtype] += torch.Size(shapes[name]).numel()
        _write_config(parents[0], sizes.most_common(1)[0][0], result / "config.json")
        directory.copy_companions(models[keeps or 0], result)
        output.mkdir(exist_ok=True)
        for file in sorted(result.iterdir()):
            file.replace(output / file.name)
    return facts


def _layouts(models: list[Path]) -> list[Layout]:
    """The tensors of each model by names that all have alike.

    Most models that are merged hold the same tensors under the same names.  Where they do not, transformers tells what
    the tensors of each are (`models.canonical`): other names of the same, old buffers, an output head that is a copy.

    Raises:
        UserError: models compute something else, or hold other tensors.
    """
    held = [directory.float_tensors(model, apart_from=COMPUTED) for model in models]
    found = [Layout({name: name for name in tensors}, {n: t.shape for n, t in tensors.items()}) for tensors in held]
    if any(one.shapes != found[0].shapes for one in found):
        from workflow_scripts.models import canonical  # imports transformers, which takes seconds

        layouts = [canonical.layout(model) for model in models]
        found = [
            Layout({known: own for own, known in one.names.items()}, {n: t.shape for n, t in one.tensors.items()})
            for one in layouts
        ]
    first = models[0]
    for model, one in zip(models[1:], found[1:], strict=True):
        if different := sorted(found[0].shapes.items() ^ one.shapes.items()):
            raise UserError(f"{model}: tensor {different[0][0]} is not as in {first}; merge models of one architecture")
    return found


def _check_models(models: list[Path], shapes: Shapes, outside_matters: bool) -> None:
    """Refuse models that compute different things, or that have no value for a gradient."""
    first = models[0]
    if not shapes:
        raise UserError(f"{first}: holds no tensors; make the model again")
    differ = check_compatible([directory.read_config(model) for model in models])  # but perhaps only in words
    if differ and (difference := meaning.difference(models)):
        raise UserError(f"{difference}; models of one architecture can be merged")
    layers = {int(layer[1]) for name in shapes if (layer := _LAYER.search(name))}
    if layers != set(range(len(layers))):
        raise UserError(f"{first}: layers are not numbered from 0 without gaps; merge whole models")
    parts = [part for place in settings.OUTSIDE_LAYERS.values() for part in place]
    for name in shapes if outside_matters else ():
        if not _LAYER.search(name) and not any(part in name for part in parts):
            raise UserError(f"{first}: tensor {name} lies in no layer, so a gradient has no value for it; use numbers")


def _written(chosen: str | None, layouts: list[Layout], parents: list[Path]) -> dict[str, str]:
    """The data type of each tensor of the merge: the one that was chosen, or the narrowest that holds the parents'."""
    if chosen:
        return dict.fromkeys(layouts[0].shapes, chosen)
    spelled = {name: dtype for name, dtype in DTYPES.values()}
    held = [(layout.names, directory.tensors(parent)) for layout, parent in zip(layouts, parents, strict=True)]
    found = {}
    for name in layouts[0].shapes:
        first, *others = (spelled[tensors[names[name]].dtype] for names, tensors in held)
        for other in others:
            first = torch.promote_types(first, other)
        found[name] = str(first).removeprefix("torch.")
    return found


def _write_weights(what: _Merge, shapes: Shapes, dtypes: dict[str, str], path: Path) -> dict[str, Any]:
    """Merge tensor by tensor, and write each to the file when it is made.

    So a merge of 8B models holds a few tensors of each parent in memory, and never the whole result.
    """
    recipe, method, models, base_index = what
    seed, dtype = recipe.get("seed"), DTYPES[recipe.get("dtype", "float32")][1]
    is_slerp = method.spec.name == "slerp"
    layers = 1 + max((int(layer[1]) for name in shapes if (layer := _LAYER.search(name))), default=0)

    def execute(name: str) -> tuple[int, bool]:
        layer = _LAYER.search(name)
        depth = None if layer is None else int(layer[1]) / (layers - 1) if layers > 1 else 1.0
        values = settings.of_tensor(recipe, [one.name for one in method.spec.parameters], name, depth)
        tensors = [model[name].to(dtype) for model in opened]
        draws = contextlib.nullcontext() if seed is None else _seeded(draw_seed(seed, name))
        with draws, _in_a_line(method.spec.name, name):
            merged = merge_tensors(tensors, method, parameters=values, base_index=base_index, name=name, dtype=dtype)
            if merged.layout is not torch.strided or not merged.is_floating_point():
                raise TypeError(f"returned {merged.dtype}, {merged.layout}; return a dense tensor of floating point")
            merged = merged.to(DTYPES[dtypes[name]][1])
        if not merged.isfinite().all():
            what = f"a parent's are not, the method makes them so, or they do not fit {dtypes[name]} (`out_dtype`)"
            raise UserError(f"merge by {method.spec.name}: {name} has values that are not finite: {what}")
        result.write(name, merged)
        return merged.numel(), is_slerp and interpolates_linearly(*tensors)

    tensors = parameters = linear = 0
    before = _states()
    with contextlib.ExitStack() as stack:
        opened = [_Weights(*model, stack) for model in models]
        result = stack.enter_context(SafetensorsFile(path, shapes, dtypes))
        pool = stack.enter_context(_one_thread_a_tensor())
        for count, is_linear in pool.map(execute, sorted(shapes)):
            work_counter.count("merged_tensors")
            tensors += 1
            parameters += count
            linear += count * is_linear
    if _states() != before:
        raise UserError(
            f"merge by {method.spec.name}: draws random numbers; give it a `seed`, so that they are the same again"
        )
    share = {"slerp_linear_share": linear / parameters} if is_slerp else {}
    return {"tensors": tensors, "parameters": parameters, **share}


def _method(name: str) -> MergeMethod:
    """Mergekit's object of a method; a user's file registers it, once in a process.

    Raises:
        UserError: there is none of this name, or the user's file is not right.
    """
    path = methods.own(name)
    if any(one.spec.name == name for one in registered_methods()):
        return get(name)
    if not path:
        raise UserError(f"merge method {name!r} is not known; choose one of {', '.join(methods.METHODS)}")
    return registered(path)


@contextlib.contextmanager
def _in_a_line(method: str, name: str) -> Iterator[None]:
    """What a method says of a tensor that it cannot merge, as a user's error."""
    try:
        yield
    except (Exception, SystemExit) as error:
        what = " ".join(f"{type(error).__name__}: {error}".split())
        raise UserError(f"merge by {method}: {name}: {what}") from error


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
    """Have the generators of the process to oneself, from a seed, and give them back as they were."""
    with _GENERATORS, torch.random.fork_rng(devices=[]):
        of_python, of_numpy = random.getstate(), np.random.get_state()
        torch.manual_seed(seed)
        random.seed(seed)
        np.random.seed(seed)
        try:
            yield
        finally:
            random.setstate(of_python)
            np.random.set_state(of_numpy)


def _states() -> tuple[object, ...]:
    """The states of the generators of the process: torch's, Python's, numpy's."""
    _, keys, *rest = np.random.get_state()
    return torch.get_rng_state().numpy().tobytes(), random.getstate(), np.asarray(keys).tobytes(), *rest


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
