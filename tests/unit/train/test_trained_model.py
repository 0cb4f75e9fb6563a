import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.unit.train.tiny import (
    LORA,
    WAYS,
    bits,
    train,
)
from tests.unit.train.tiny import parent as parent  # the fixture
from workflow_scripts.base.errors import UserError
from workflow_scripts.models import directory


def test_lora_adds_to_the_parents_own_numbers(parent: Path, tmp_path: Path) -> None:
    _, output = train(tmp_path, parent, precision="bfloat16", learning_rate=0.0, lora=LORA)
    assert bits(output)["model.safetensors"] == bits(parent)["model.safetensors"], "not rounded by training's precision"


@pytest.mark.parametrize("way", WAYS)
def test_training_changes_weights_and_nothing_else(parent: Path, tmp_path: Path, way: str) -> None:
    _, output = train(tmp_path, parent, max_steps=2, **WAYS[way])
    differing = {name for name, value in bits(output).items() if bits(parent).get(name) != value}
    assert differing <= {"model.safetensors", "config.json"} and bits(output).keys() == bits(parent).keys()
    assert json.loads((output / "config.json").read_text()) == json.loads((parent / "config.json").read_text())
    assert directory.tensors(output) == directory.tensors(parent)
    moved = load_file(output / "model.safetensors")
    name = "model.layers.0.mlp.up_proj.weight"
    assert not torch.equal(moved[name], load_file(parent / "model.safetensors")[name])


@pytest.mark.parametrize("lora", [None, LORA])
def test_a_bfloat16_parent_has_bfloat16_children(parent: Path, tmp_path: Path, lora: dict | None) -> None:
    half = tmp_path / "half"
    half.mkdir()
    for file in parent.iterdir():
        (half / file.name).write_bytes(file.read_bytes())
    tensors = {name: tensor.bfloat16() for name, tensor in load_file(parent / "model.safetensors").items()}
    save_file(tensors, half / "model.safetensors", metadata={"format": "pt"})
    _, output = train(tmp_path, half, max_steps=2, precision="bfloat16", lora=lora)
    assert {tensor.dtype for tensor in directory.tensors(output).values()} == {"BF16"}


def test_divergence_stops_the_training(parent: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="learning_rate"):
        train(tmp_path, parent, learning_rate=1e30)
    assert not (tmp_path / "run").exists()
