"""Writes a model that was made of another: its directory with other numbers in it, as transformers saves them."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

from workflow_scripts.base.errors import UserError
from workflow_scripts.models import canonical, directory


def write(
    network: Any, state: dict[str, torch.Tensor], parent: Path, layout: canonical.Layout, output: Path, advice: str
) -> None:
    """Write a network's tensors into a directory that is its parent's otherwise.

    Tensors that are as they were are the parent's to the bit, whatever data type they were held in; the others have
    the data types of the parent's.

    Args:
        network: as it was loaded from the parent.
        state: its tensors by their names in memory.
        parent: the model directory.
        layout: of the parent.
        output: the directory to write.
        advice: what to do where a number is not finite.

    Raises:
        UserError: a number is not finite.
    """
    found, weights = canonical.written(network, state), {}  # gathered from several ranks, a tied tensor comes twice
    for name, before in _tensors(parent, layout):
        now = found[name].detach().to("cpu").contiguous()
        if not now.isfinite().all():
            raise UserError(f"{name} is not finite; {advice}")
        weights[name] = before if torch.equal(now, before.to(now.dtype)) else now.to(before.dtype)
    output.mkdir(parents=True, exist_ok=True)
    network.save_pretrained(output, state_dict=weights, save_original_format=False, max_shard_size="1TB")
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
