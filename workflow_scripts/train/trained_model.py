"""Writes a trained model: its parent's directory with other numbers in it."""

import json
import re
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from workflow_scripts.base.errors import UserError
from workflow_scripts.models import directory
from workflow_scripts.train.methods._base import Recipe

ADAPTER = re.compile(r"\.lora_A\.default\.weight$")  # of peft, beside one with B
DTYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "F64": torch.float64}


def write(trainer: Any, recipe: Recipe, parent: Path, tensors: dict[str, directory.Tensor], output: Path) -> None:
    """Write the parent's directory with the trained weights in it."""
    state = trainer.accelerator.get_state_dict(trainer.model_wrapped)  # of all ranks together
    if not trainer.is_world_process_zero():
        return
    if recipe["lora"]:
        state = _adapted(parent, recipe["lora"], state)
    if missing := sorted(tensors.keys() - state.keys()):
        raise UserError(
            f"{parent}: tensor {missing[0]} is not part of the architecture in its config.json; correct the model"
        )
    trained = {name: state[name].to("cpu", DTYPES[tensors[name].dtype]).contiguous() for name in sorted(tensors)}
    for name, tensor in trained.items():
        if not tensor.isfinite().all():
            raise UserError(f"training diverged: {name} is not finite; lower learning_rate")
    output.mkdir(parents=True, exist_ok=True)
    save_file(trained, output / "model.safetensors", metadata={"format": "pt"})
    config = directory.read_config(parent)
    config.pop("_name_or_path", None)
    (output / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    directory.copy_companions(parent, output)


def _adapted(parent: Path, lora: dict[str, Any], state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The parent's weights plus what the adapters learned, alpha / r times B A, in float32.

    From the parent's own numbers, not from those that training rounded to its precision.
    """
    weights = {}
    for path in directory.weight_files(parent):
        with safe_open(path, framework="pt") as file:
            weights.update({name: file.get_tensor(name).float() for name in file.keys()})  # noqa: SIM118 (not a dict)
    for name, tensor in state.items():
        if ADAPTER.search(name) is None:
            continue
        adapted, other = (
            ADAPTER.sub(".weight", name).removeprefix("base_model.model."),
            name.replace("lora_A", "lora_B"),
        )
        delta = state[other].to("cpu", torch.float32) @ tensor.to("cpu", torch.float32)
        weights[adapted] += delta * (lora["alpha"] / lora["r"])
    return weights
