"""Writes a trained model: its parent's directory with other numbers in it, as transformers saves them."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

from workflow_scripts.base.errors import UserError
from workflow_scripts.models import canonical, directory
from workflow_scripts.train import adapters
from workflow_scripts.train.methods._base import Recipe


def write(trainer: Any, recipe: Recipe, parent: Path, layout: canonical.Layout, output: Path) -> None:
    """Write the parent's directory with the trained weights in it.

    What training did not change is the parent's, to the bit; the rest has the parent's data types.

    Raises:
        UserError: a weight is not finite.
    """
    state = trainer.accelerator.get_state_dict(trainer.model_wrapped)  # of all ranks together
    if not trainer.is_world_process_zero():
        return
    trained = trainer.accelerator.unwrap_model(trainer.model)
    if recipe["lora"]:
        trained, state = adapters.merged(parent, trained, state)
    weights = canonical.written(trained, state)
    for name, before in _tensors(parent, layout):
        now = weights[name].detach().to("cpu").contiguous()
        if not now.isfinite().all():
            raise UserError(f"training diverged: {name} is not finite; lower learning_rate")
        weights[name] = before if torch.equal(now, before.to(now.dtype)) else now.to(before.dtype)
    output.mkdir(parents=True, exist_ok=True)
    trained.save_pretrained(output, state_dict=weights, save_original_format=False, max_shard_size="1TB")
    for file in output.iterdir():  # the weights are transformers'; what stands beside them is the parent's
        if file.suffix != ".safetensors":
            file.unlink()
    config = directory.read_config(parent)
    config.pop("_name_or_path", None)
    (output / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    directory.copy_companions(parent, output)


def _tensors(model: Path, layout: canonical.Layout) -> Iterator[tuple[str, torch.Tensor]]:
    """The tensors of a model by their canonical names, one at a time."""
    for path in directory.weight_files(model):
        with safe_open(path, framework="pt") as file:
            for name in file.keys():  # noqa: SIM118 (not a dict)
                if name in layout.names:
                    yield layout.names[name], file.get_tensor(name)
