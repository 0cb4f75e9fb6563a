"""Tiny models like Aya, and recipes of all methods, that the tests of merging share."""

import json
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import PreTrainedTokenizerFast

from workflow_scripts.config.merging import section
from workflow_scripts.merge import settings, with_mergekit
from workflow_scripts.merge.methods import METHODS as ROWS

ROOT = Path(__file__).parents[3]


# Aya's flags, and a vocabulary larger than the tokenizer's, as Aya's is.
AYA = {
    "architectures": ["CohereForCausalLM"],
    "model_type": "cohere",
    "vocab_size": 512,
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


SHAPES = {"embed_tokens.weight": (512, 64), "norm.weight": (64,)} | {
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


# Each method of mergekit from one line of config: what it requires, and nothing else.
METHODS: dict[str, dict] = {
    name: {"method": name, **required}
    for name, required in {
        "arcee_fusion": {},
        "breadcrumbs": {"weights": 0.7, "density": 0.6},
        "breadcrumbs_ties": {"weights": 0.7, "density": 0.6},
        "dare_linear": {"weights": 0.7, "density": 0.6, "seed": 5},
        "dare_ties": {"weights": 0.7, "density": 0.6, "seed": 5},
        "della": {"weights": 0.7, "density": 0.6, "seed": 5},
        "della_linear": {"weights": 0.7, "density": 0.6, "seed": 5},
        "karcher": {},
        "linear": {"weights": 0.7},
        "model_stock": {},
        "multislerp": {"weights": 0.7},
        "nearswap": {"t": 0.01},
        "nuslerp": {"weights": 0.7},
        "passthrough": {},
        "ram": {},
        "ramplus_tl": {},
        "sce": {},
        "slerp": {"t": 0.3},
        "task_arithmetic": {"weights": 0.7},
        "ties": {"weights": 0.7, "density": 0.6},
    }.items()
}

LINEAR = METHODS["linear"] | {"weights": [0.7, 0.3]}
SLERP = METHODS["slerp"]
TIES = METHODS["ties"] | {"weights": [0.7, 1.5], "density": [0.5, 0.3]}
DARE = METHODS["dare_ties"] | {"weights": [0.7, 1.5], "density": [0.5, 0.3]}


class Case(NamedTuple):
    """A merge: a recipe as a config has it, how many parents, whether a base is named besides them."""

    recipe: dict
    parents: int
    base: bool

    @property
    def method(self) -> str:
        return self.recipe["method"]

    def __str__(self) -> str:
        changes = {key: value for key, value in self.recipe.items() if METHODS[self.method].get(key) != value}
        what = ",".join(f"{key}={json.dumps(value)}".replace('"', "") for key, value in changes.items())
        return f"{self.method}({what})x{self.parents}{'+base' if self.base else ''}"


def case(method: str, parents: int | None = None, base: bool | None = None, **changes: object) -> Case:
    """A merge by a method: two parents unless it takes fewer, a base only if it needs one, `changes` to its line."""
    row = ROWS[method]
    base = row.needs_base if base is None else base
    _, most = row.parents(base)
    return Case(METHODS[method] | changes, parents or min(2, most or 2), base)


CASES = [case(method) for method in METHODS]


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


PARENTS = ("first", "second", "third")

FAR = {"matrix": (48, 64), "vector": (64,), "stack": (16, 6, 8)}


def write_models(folder: Path) -> dict[str, Path]:
    """A base and its parents-to-be by name, with tokenizers."""
    generator = torch.Generator().manual_seed(0)
    base = {name: torch.randint(-64, 65, shape, generator=generator) / 2**12 for name, shape in SHAPES.items()}
    paths = {"base": write_model(folder / "base", base)}
    words = {word: index for index, word in enumerate(["<pad>", "<s>", "</s>", "<unk>", *"abcdefgh"])}
    for seed, name in enumerate(PARENTS, start=1):
        paths[name] = write_model(folder / name, fine_tuned(base, seed))
        tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(WordLevel(words, unk_token="<unk>")))
        tokenizer.chat_template = "{{ messages[0]['content'] }}"
        tokenizer.save_pretrained(paths[name])
    (paths["first"] / "generation_config.json").write_text('{"eos_token_id": 2}')
    return paths


def write_far_models(folder: Path) -> dict[str, Path]:
    """A base and its parents-to-be by name: a matrix, a vector and a stack of matrices in each of two layers."""
    generator = torch.Generator().manual_seed(0)
    shapes = {f"model.layers.{n}.{part}": shape for n in (0, 1) for part, shape in FAR.items()}
    base = {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}
    paths = {"base": write_model(folder / "base", base)}
    for name in PARENTS:
        tuned = {key: tensor + 0.5 * torch.randn(tensor.shape, generator=generator) for key, tensor in base.items()}
        paths[name] = write_model(folder / name, tuned)
    return paths


def completed(recipe: dict, parents: int, base: bool) -> dict:
    """A recipe as a job has it: checked, and every parameter stated."""
    method = settings.check(recipe, parents, base)
    return settings.complete(section(method).model_validate(recipe), parents, base)


def merge(recipe: dict, parents: list[Path], base: Path | None, output: Path) -> dict:
    """Merge as a job does."""
    whole = completed(recipe, len(parents), base is not None)
    return with_mergekit.merge(whole, parents, base, output)


def run(models: dict[str, Path], recipe: dict, output: Path, parents: tuple[str, ...] = ("first", "second")) -> dict:
    """Merge named models; the base is the one of that name, where the method needs one."""
    base = models["base"] if ROWS[recipe["method"]].needs_base else None
    return merge(recipe, [models[name] for name in parents], base, output)


def run_case(models: dict[str, Path], one: Case, output: Path) -> dict:
    parents = [models[name] for name in PARENTS[: one.parents]]
    return merge(one.recipe, parents, models["base"] if one.base else None, output)


def merge_arrays(
    recipe: dict, parents: list[np.ndarray], base: np.ndarray | None = None, name: str = "model.layers.0.w"
) -> np.ndarray:
    """Merge models that consist of one tensor each."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [
            write_model(Path(folder, str(index)), {name: torch.tensor(array).float().contiguous()})
            for index, array in enumerate([*parents, *([] if base is None else [base])])
        ]
        merge(recipe, paths[: len(parents)], None if base is None else paths[-1], Path(folder, "merged"))
        return float64(Path(folder, "merged"))[name]


def weights(model: Path) -> dict[str, torch.Tensor]:
    return load_file(model / "model.safetensors")


def float64(model: Path) -> dict[str, np.ndarray]:
    return {name: tensor.double().numpy() for name, tensor in weights(model).items()}


def assert_same_bits(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    assert one.keys() == other.keys()
    for name in one:
        assert one[name].dtype == other[name].dtype
        assert torch.equal(one[name], other[name]), name


def assert_close(model: Path, expected: dict[str, np.ndarray], rtol: float = 2e-6, atol: float = 2e-8) -> None:
    merged = float64(model)
    assert merged.keys() == expected.keys()
    for name in merged:
        np.testing.assert_allclose(merged[name], expected[name], rtol=rtol, atol=atol, err_msg=name)
