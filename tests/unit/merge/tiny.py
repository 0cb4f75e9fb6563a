"""Tiny models like Aya, and recipes, that the tests of merging share."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import PreTrainedTokenizerFast

from workflow_scripts.merge import with_mergekit
from workflow_scripts.merge.methods import METHODS as ROWS

ROOT = Path(__file__).parents[3]


# Aya's flags, and a vocabulary larger than the tokenizer's, as Aya's is.
AYA = {
    "architectures": ["CohereForCausalLM"],
    "model_type": "cohere",
    "vocab_size": 2048,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "logit_scale": 0.0625,
    "use_qk_norm": False,
    "tie_word_embeddings": True,
    "layer_norm_eps": 1e-5,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
    "dtype": "float32",
}


SHAPES = {"embed_tokens.weight": (2048, 64), "norm.weight": (64,)} | {
    f"layers.{layer}.{part}.weight": shape
    for layer in (0, 1)
    for part, shape in {
        "input_layernorm": (64,),
        "self_attn.q_proj": (64, 64),
        "self_attn.k_proj": (32, 64),
        "self_attn.v_proj": (32, 64),
        "self_attn.o_proj": (64, 64),
        "mlp.gate_proj": (96, 64),
        "mlp.up_proj": (96, 64),
        "mlp.down_proj": (64, 96),
    }.items()
}
SHAPES = {f"model.{name}": shape for name, shape in SHAPES.items()}


LINEAR = {"method": "linear", "weights": [0.7, 0.3], "normalize": True, "dtype": "float32"}


SLERP = {"method": "slerp", "t": 0.3, "dtype": "float32"}


TIES = {
    "method": "ties",
    "weights": [0.7, 1.5],
    "density": [0.5, 0.3],
    "normalize": True,
    "rescale": False,
    "lambda": 1.0,
    "int8_mask": False,
    "dtype": "float32",
}


DARE = TIES | {"method": "dare_ties", "normalize": False, "rescale": True, "seed": 5}


METHODS = {"linear": LINEAR, "slerp": SLERP, "ties": TIES, "dare_ties": DARE}


def write_model(path: Path, tensors: dict[str, torch.Tensor], config: dict = AYA) -> Path:
    path.mkdir(parents=True)
    (path / "config.json").write_text(json.dumps(config))
    save_file(tensors, path / "model.safetensors", metadata={"format": "pt"})
    return path


def fine_tuned(base: dict[str, torch.Tensor], seed: int) -> dict[str, torch.Tensor]:
    """Base plus differences that are exact in float32 and of which no two in a tensor are equally large."""
    generator = torch.Generator().manual_seed(seed)
    tensors = {}
    for name, tensor in base.items():
        sizes = 1 + torch.randperm(tensor.numel(), generator=generator).reshape(tensor.shape)
        signs = torch.randint(0, 2, tensor.shape, generator=generator) * 2 - 1
        tensors[name] = tensor + signs * sizes / 2**20
    return tensors


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("models")
    generator = torch.Generator().manual_seed(0)
    base = {name: torch.randint(-64, 65, shape, generator=generator) / 2**12 for name, shape in SHAPES.items()}
    paths = {"base": write_model(folder / "base", base)}
    words = {word: index for index, word in enumerate(["<pad>", "<s>", "</s>", "<unk>", *"abcdefgh"])}
    for seed, name in enumerate(("first", "second"), start=1):
        paths[name] = write_model(folder / name, fine_tuned(base, seed))
        tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(WordLevel(words, unk_token="<unk>")))
        tokenizer.chat_template = "{{ messages[0]['content'] }}"
        tokenizer.save_pretrained(paths[name])
    (paths["first"] / "generation_config.json").write_text('{"eos_token_id": 2}')
    return paths


def run(models: dict[str, Path], recipe: dict, output: Path, parents: tuple[str, ...] = ("first", "second")) -> dict:
    base = models["base"] if ROWS[recipe["method"]].needs_base else None
    return with_mergekit.merge(recipe, [models[name] for name in parents], base, output)


def weights(model: Path) -> dict[str, torch.Tensor]:
    return load_file(model / "model.safetensors")


def float64(model: Path) -> dict[str, np.ndarray]:
    return {name: tensor.double().numpy() for name, tensor in weights(model).items()}


def assert_same_bits(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    assert one.keys() == other.keys()
    for name in one:
        assert one[name].dtype == other[name].dtype
        assert torch.equal(one[name], other[name]), name


def assert_close(model: Path, expected: dict[str, np.ndarray], atol: float = 2e-8) -> None:
    merged = float64(model)
    assert merged.keys() == expected.keys()
    for name in merged:
        np.testing.assert_allclose(merged[name], expected[name], rtol=2e-6, atol=atol, err_msg=name)
