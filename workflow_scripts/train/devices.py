"""Checks whether the devices there are suffice for a training, and says what to change where they do not."""

import importlib.util
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import torch

from workflow_scripts.base.errors import UserError, is_out_of_memory
from workflow_scripts.models import counting, directory, model_size
from workflow_scripts.train.methods._base import Recipe


def is_sharded(recipe: Recipe) -> bool:
    """Whether each process holds only a part of the model."""
    return bool(recipe["processes"] > 1 and recipe["parallel"] == "fsdp")


def check_devices(recipe: Recipe, parent: Path) -> None:
    """Whether each process has a device of its own, and the device the memory.

    Raises:
        UserError: it does not; says what would do.
    """
    if recipe["optimizer"].endswith("bit") and not importlib.util.find_spec("bitsandbytes"):
        raise UserError(f"optimizer: {recipe['optimizer']} needs bitsandbytes; install it, or choose another")
    started = int(os.environ.get("WORLD_SIZE", 1)) if torch.distributed.is_torchelastic_launched() else 1
    if started != recipe["processes"]:
        raise UserError(f"processes: {recipe['processes']}, but {started} started; start as many (see `launch`)")
    devices = torch.cuda.device_count()
    if not devices:
        return
    if devices < recipe["processes"]:
        raise UserError(f"processes: {recipe['processes']}, but {devices} GPUs are visible; use as many at the most")
    if devices > 1 and started == 1:
        raise UserError("CUDA_VISIBLE_DEVICES: one process sees several GPUs; name one, or set `processes`")
    free, _ = torch.cuda.mem_get_info(int(os.environ.get("LOCAL_RANK", 0)))
    with suppress(KeyError):  # an architecture whose sizes have other names is tried
        architecture, counted = directory.read_config(parent), counting.count(parent).parameters
        if why := model_size.shortage(architecture, recipe, free, devices, counted):
            raise UserError(f"training: {why}")


@contextmanager
def explain_out_of_memory(recipe: Recipe) -> Iterator[None]:
    """Say what to change where memory does not suffice."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        said = " ".join(str(error).split())[:120]
        ways = ["a smaller batch_size or a larger accumulation"]
        ways += [] if recipe["gradient_checkpointing"] else ["gradient_checkpointing: true"]
        ways += [] if recipe["lora"] else ["lora"]
        ways += [] if is_sharded(recipe) else ["more processes with parallel: fsdp"]
        raise UserError(f"out of memory while training ({said}); try {', '.join(ways)}") from None
