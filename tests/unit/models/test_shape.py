"""Sizes estimated from config.json alone are those of what transformers builds."""

from pathlib import Path

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForImageTextToText

from tests import families
from workflow_scripts.models import counting, directory, model_size, shape


def built(name: str) -> torch.nn.Module:
    """The published member of a family, without numbers."""
    config = families.config(name)
    auto = AutoModelForImageTextToText if "text_config" in config else AutoModelForCausalLM
    with torch.device("meta"):
        network: torch.nn.Module = auto.from_config(AutoConfig.for_model(config.pop("model_type"), **config))
    return network


@pytest.mark.parametrize("family", families.FAMILIES)
def test_parameters_are_estimated_within_a_hundredth(family: str) -> None:
    counted = sum(parameter.numel() for parameter in built(family).parameters())
    assert model_size.parameters(families.config(family)) == pytest.approx(counted, rel=0.01)


# What their authors say, in billions; of mixtures of experts, of what one token goes through as well.
SAID = {
    "llama": 8.03,
    "mixtral": 46.7,
    "qwen3_moe": 30.5,
    "olmoe": 6.92,
    "gpt_oss": 20.9,
    "mistral3": 24.0,
    "gemma3": 4.3,
}
ACTIVE = {"mixtral": 12.9, "qwen3_moe": 3.3, "olmoe": 1.3, "gpt_oss": 3.6}


@pytest.mark.parametrize("family", SAID)
def test_parameters_are_those_that_the_authors_say(family: str) -> None:
    sizes = shape.of(families.config(family))
    assert sizes.parameters / 1e9 == pytest.approx(SAID[family], rel=0.01)
    if family in ACTIVE:
        active = sizes.layers * sizes.active + 2 * sizes.embeddings
        assert active / 1e9 == pytest.approx(ACTIVE[family], rel=0.2)


@pytest.mark.parametrize("family", families.FAMILIES)
def test_a_tiny_member_is_counted_exactly_and_estimated_well_enough(family: str, tmp_path: Path) -> None:
    model = families.make(family, tmp_path / "model", dtype="bfloat16")
    counted = counting.count(model)
    size = (model / "model.safetensors").stat().st_size
    assert counted.bytes <= size <= counted.bytes + 100_000  # and a header
    assert counted.parameters * 2 == pytest.approx(counted.bytes, rel=0.01)
    assert counted.text < counted.parameters if family in ("gemma3", "mistral3", "qwen3_5") else counted.text
    estimated = shape.of(directory.read_config(model)).parameters
    assert estimated == pytest.approx(counted.parameters, rel=0.2)  # norms and biases weigh more in small models


def test_layers_that_keep_no_keys_need_no_cache() -> None:
    settings = {"precision": "bfloat16", "batch_size": 8, "max_model_len": 1000}
    caches = {name: model_size.generation_memory(families.config(name), settings).cache for name in families.FAMILIES}
    assert caches["mamba2"] == 0 < caches["lfm2"] < caches["qwen3_5"] < caches["qwen3"]
    assert caches["deepseek_v3"] == 2 * 27 * (512 + 64) // 2 * 2 * 8000, "of latent attention the latent alone is kept"


def test_operations_of_experts_are_those_of_the_ones_that_a_token_goes_through() -> None:
    dense, mixed = (model_size.training_flops(families.config(name), 1e6, 100) for name in ("mistral", "mixtral"))
    assert 1.5 < mixed / dense < 2.2


@pytest.mark.parametrize("config", [{}, {"hidden_size": 8}, {"hidden_size": "wide"}, {"text_config": 3}])
def test_a_config_that_does_not_state_its_sizes_is_not_known(config: dict) -> None:
    assert not shape.is_known(config)
