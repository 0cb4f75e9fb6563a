import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests import families
from tests.unit.train.tiny import LORA, WAYS, bits, train
from tests.unit.train.tiny import parent as parent  # the fixture
from workflow_scripts.base.errors import UserError
from workflow_scripts.models import canonical, directory


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


@pytest.mark.parametrize("lora", [None, {**LORA, "dropout": 0.0}])
@pytest.mark.parametrize("family", ["mixtral", "gemma3", "mistral3", "gpt_neox"])
def test_names_on_disk_are_kept_and_what_was_not_trained_is_the_parents_to_the_bit(
    family: str, lora: dict | None, tmp_path: Path
) -> None:
    model = families.make(family, tmp_path / "model", dtype="bfloat16")
    _, output = train(tmp_path, model, max_steps=2, max_length=200, precision="bfloat16", lora=lora)
    old, new = (load_file(path / "model.safetensors") for path in (model, output))
    assert old.keys() == new.keys() and directory.tensors(output) == directory.tensors(model)
    changed = {name for name in old if not torch.equal(old[name], new[name])}
    assert changed and not [name for name in changed if "vision" in name or "projector" in name]
    assert canonical.layout(output).names.keys() == new.keys()


@pytest.mark.parametrize("lora", [None, {**LORA, "dropout": 0.0}])
def test_gpt2_as_on_the_hub_is_written_under_transformers_names(lora: dict | None, tmp_path: Path) -> None:
    model = families.make("gpt2", tmp_path / "model")
    found = {name.removeprefix("transformer."): t for name, t in load_file(model / "model.safetensors").items()}
    save_file({**found, "h.0.attn.bias": torch.ones(1, 1, 8, 8)}, model / "model.safetensors")
    _, output = train(tmp_path, model, max_steps=1, max_length=200, lora=lora)
    assert load_file(output / "model.safetensors").keys() == {f"transformer.{name}" for name in found}


def test_a_float64_tensor_that_training_did_not_move_is_written_as_it_was(parent: Path, tmp_path: Path) -> None:
    exact = tmp_path / "exact"
    shutil.copytree(parent, exact)
    tensors = {name: tensor.double() / 3 for name, tensor in load_file(parent / "model.safetensors").items()}
    save_file(tensors, exact / "model.safetensors", metadata={"format": "pt"})
    _, output = train(tmp_path, exact, max_steps=1, learning_rate=0.0)
    assert bits(output)["model.safetensors"] == bits(exact)["model.safetensors"]


def test_names_are_compared_before_the_first_step(parent: Path, tmp_path: Path) -> None:
    odd = tmp_path / "odd"
    shutil.copytree(parent, odd)
    tensors = load_file(parent / "model.safetensors")
    save_file({**tensors, "v_head.weight": torch.zeros(3)}, odd / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match=r"v_head\.weight is no part of the architecture"):
        train(tmp_path, odd)
    assert not (tmp_path / "run.work").exists()


def test_sampling_fields_of_a_generation_config_stop_no_checkpoint(parent: Path, tmp_path: Path) -> None:
    warm = tmp_path / "warm"
    shutil.copytree(parent, warm)
    (warm / "generation_config.json").write_text(json.dumps({"eos_token_id": 6, "temperature": 0.9, "top_p": 0.6}))
    for name, way in WAYS.items():
        train(tmp_path, warm, name, save_steps=1, max_steps=2, **way)


def test_divergence_stops_the_training(parent: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="learning_rate"):
        train(tmp_path, parent, learning_rate=1e30)
    assert not (tmp_path / "run").exists()
