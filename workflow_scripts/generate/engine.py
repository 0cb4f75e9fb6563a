"""The engine of a recipe: which one it is on this machine, at which versions, started on a model."""

import importlib.metadata
import importlib.util
import os
from contextlib import suppress
from pathlib import Path

from workflow_scripts.base.errors import UserError
from workflow_scripts.generate.engines import ENGINES
from workflow_scripts.generate.engines._base import Engine, Recipe


def start(recipe: Recipe, model: Path) -> Engine:
    """Load a model into the engine that the recipe names.

    Args:
        recipe: `engine` and the settings `max_new_tokens`, `max_model_len`, `temperature` (0: greedy), `top_p`, `seed`,
            `precision`; of execution, `batch_size`, `threads` (transformers on CPU), `tensor_parallel` (vLLM).
        model: a model directory.

    Raises:
        UserError: the engine is unknown or not installed, or the model's directory is broken.
    """
    name = resolve(recipe["engine"])
    versions(name)
    return ENGINES[name].start(recipe, model)


def check(name: str, model: Path) -> None:
    """Whether an engine can answer with a kind of model, on a CPU and before anything is trained from it.

    Args:
        name: of the engine, or `auto`.
        model: a model directory.

    Raises:
        UserError: it cannot; names the kind, and what to do.
    """
    ENGINES[resolve(name)].check(model)


def resolve(name: str) -> str:
    """The engine that `auto` stands for on this machine: vLLM where it is installed and sees a GPU, else transformers.

    Raises:
        UserError: there is no such engine.
    """
    if name == "auto":
        return "vllm" if importlib.util.find_spec("vllm") and _cuda() else "transformers"
    if name not in ENGINES:
        raise UserError(f"engine: no engine is called {name}; use auto, {' or '.join(ENGINES)}")
    return name


def versions(name: str) -> dict[str, str]:
    """Versions of the packages that decide what an engine generates, without importing them.

    Raises:
        UserError: one of them is not installed.
    """
    found = {}
    for package in ENGINES[name].packages:
        for build in (package, f"{package}-cpu"):  # vLLM's CPU build is a distribution of another name
            with suppress(importlib.metadata.PackageNotFoundError):
                found[build] = importlib.metadata.version(build)
                break
        else:
            raise UserError(f"engine: {name} needs {package}; install it, or set engine: auto")
    return found


def _cuda() -> bool:
    """Whether this process sees an NVIDIA GPU, as far as that shows without importing torch."""
    if os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        return False
    return Path("/proc/driver/nvidia/version").exists() or any(Path("/dev").glob("nvidia[0-9]*"))
