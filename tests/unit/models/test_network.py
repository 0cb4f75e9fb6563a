"""What transformers builds of a model directory, and what is said where it cannot."""

import json
from pathlib import Path

import pytest
import torch

from tests import families
from workflow_scripts.base.errors import UserError
from workflow_scripts.models import network


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "nonesuch"}, "nonesuch"),
        ({"hidden_size": "wide"}, "hidden_size"),
        ({"hidden_size": -4}, r"cannot build the model that it describes"),
        ({"num_attention_heads": 0}, r"cannot build the model that it describes"),
    ],
)
def test_a_config_that_cannot_be_built_is_refused_in_a_line(changes: dict, message: str, tmp_path: Path) -> None:
    model = families.make("llama", tmp_path / "model")
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps({**config, **changes}))
    with pytest.raises(UserError, match=f"^{model}/config.json: .*{message}") as caught:
        network.skeleton(model)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["vit", "t5", "clip"])
def test_a_model_that_does_not_write_text_from_left_to_right_is_refused_by_its_kind(kind: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": kind}))
    with pytest.raises(UserError, match=f"model_type '{kind}' is no language model"):
        network.skeleton(tmp_path)


def test_a_skeleton_holds_no_numbers(tmp_path: Path) -> None:
    outline = network.skeleton(families.make("llama", tmp_path / "model"))
    assert {parameter.device.type for parameter in outline.parameters()} == {"meta"}


@pytest.mark.parametrize("family", ["gemma3", "mistral3", "qwen3_5"])
def test_of_a_wrapper_the_language_model_makes_text_and_its_eyes_do_not(family: str, tmp_path: Path) -> None:
    outline = network.skeleton(families.make(family, tmp_path / "model"))
    parts = network.text_parts(outline)
    inside = [name for name, _ in outline.named_parameters() if any(name.startswith(f"{part}.") for part in parts)]
    outside = {name for name, _ in outline.named_parameters()} - set(inside)
    assert any("layers.0" in name for name in inside) and outline.get_output_embeddings() is not None
    assert outside and all("vis" in name or "projector" in name for name in outside)


def test_a_language_model_alone_makes_text_with_all_of_it(tmp_path: Path) -> None:
    assert network.text_parts(network.skeleton(families.make("mixtral", tmp_path / "model"))) == [""]


@pytest.mark.parametrize(
    ("family", "expected"), [("llama", False), ("lfm2", True), ("qwen3_5", True), ("mamba2", True)]
)
def test_layers_that_hand_a_state_on_are_known(family: str, expected: bool, tmp_path: Path) -> None:
    assert network.hands_state_on(network.skeleton(families.make(family, tmp_path / "model"))) is expected


def test_a_generation_config_that_does_not_pass_transformers_own_check_harms_no_checkpoint(tmp_path: Path) -> None:
    model = families.make("llama", tmp_path / "model")
    (model / "generation_config.json").write_text(json.dumps({"eos_token_id": 2, "temperature": 0.9, "top_p": 0.6}))
    net = network.load(model, torch.float32)
    net.save_pretrained(tmp_path / "checkpoint")
    assert net.generation_config.eos_token_id == 2


def test_an_attention_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"with attn_implementation quick_attention \(.*quick_attention"):
        network.load(families.make("llama", tmp_path / "model"), torch.float32, attention="quick_attention")
